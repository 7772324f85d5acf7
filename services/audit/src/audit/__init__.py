"""The audit service: a transparency log of every event, which nobody can rewrite unseen."""
