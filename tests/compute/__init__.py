"""Tests of the notebook's computations over HTTP."""
