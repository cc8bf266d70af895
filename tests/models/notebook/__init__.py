"""Tests of models/notebook/."""
