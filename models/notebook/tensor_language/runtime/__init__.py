"""Runs a program within its limits."""
