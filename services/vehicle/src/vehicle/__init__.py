"""Vehicles and their service history."""
