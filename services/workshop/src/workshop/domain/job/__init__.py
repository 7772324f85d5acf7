"""A job, from request to closed: what may happen to it, and what follows."""
