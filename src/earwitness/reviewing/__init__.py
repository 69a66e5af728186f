"""Labels settled by ear, but for the pages: which clips come first, what was decided, what goes in and out as files."""
