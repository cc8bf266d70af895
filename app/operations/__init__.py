"""What keeps a database safe: backups, copies and verification."""
