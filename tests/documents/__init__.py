"""Tests of README and docs/: what they say is so, and can be read and copied."""
