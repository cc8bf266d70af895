"""Gradients of scalar programs."""
