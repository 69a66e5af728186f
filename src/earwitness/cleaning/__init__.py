"""Which labels to believe: what trained runs hear in every clip, what to think of each tag, and what that comes to."""
