"""The local stack and the bayline command."""
