"""Tests of transactions, engines, migrations and what survives a crash."""
