"""Tests of the killable processes."""
