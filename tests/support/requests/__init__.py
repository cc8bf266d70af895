"""Requests and what they must be answered."""
