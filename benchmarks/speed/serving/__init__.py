"""How fast answers, imports and starts are."""
