"""REST, problems, live streams: the public front."""
