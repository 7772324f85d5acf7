"""Faults without pity while clients work, and then the question whether anything was lost."""
