"""Two engines, one set of tables, and the statements that both understand."""
