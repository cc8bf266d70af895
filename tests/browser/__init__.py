"""Tests of the console in a real browser, on a real service: a story a test."""
