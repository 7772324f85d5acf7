"""What is done with vehicles, apart from how it is asked for and stored."""
