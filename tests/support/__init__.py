"""What several tests start from; nothing here is a test."""
