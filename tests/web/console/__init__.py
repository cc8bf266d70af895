"""Tests of the console's files."""
