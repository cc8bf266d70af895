"""Tests, by subject; tests/models and tests/routes mirror those folders."""
