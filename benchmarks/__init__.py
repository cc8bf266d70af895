"""Measurements, against peers or against the service at rest. Nothing here is a test."""
