"""Technicians, certifications and workload."""
