"""Tests of the mixed-effects model."""
