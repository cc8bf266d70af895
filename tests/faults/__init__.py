"""Harnesses that try to break what docs/promises.md promises; their figures are in docs/track-record.md."""
