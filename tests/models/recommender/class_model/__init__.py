"""Tests of the class model."""
