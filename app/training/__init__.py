"""Trainings: the queue, the leases, the worker and what it publishes."""
