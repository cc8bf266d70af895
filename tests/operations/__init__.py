"""Tests of backups, copies and verification."""
