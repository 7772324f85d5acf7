"""Whether a system kept its promises: what clients saw, what is stored, published and projected."""
