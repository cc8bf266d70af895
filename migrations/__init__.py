"""The history of the tables, for Alembic.

Knows `app.database.tables`; does not know what the tables are for.
"""
