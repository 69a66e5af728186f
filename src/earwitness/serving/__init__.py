"""Pages and interfaces served over HTTP: what a browser shows, and what answers it. Needs the extra `serve`."""
