"""Tests of figures, charts and pictures."""
