"""Tests of models/: each file against another implementation, every trainer against one contract."""
