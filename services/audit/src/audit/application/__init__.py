"""What is done with the log: sequencing, signing, proving, verifying."""
