"""What a person types at a terminal: the commands of `likely`."""
