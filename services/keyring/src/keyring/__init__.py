"""The keyring: whose words are sealed, and who was forgotten."""
