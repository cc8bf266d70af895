"""Tests of responses and scores."""
