"""Where store, messaging and runtime meet: the parts of an event-sourced service."""
