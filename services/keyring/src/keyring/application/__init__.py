"""What is asked of the keyring, and what that needs from outside."""
