"""Subjects and what it means to forget one, purely."""
