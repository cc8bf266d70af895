"""Two engines, one set of tables, and the statements that both understand. Does not know their meaning.

database.py             two kinds of transaction, migrations, and errors turned into problems
urls.py                 URLs of databases: checked, and opened as the kind that they name
sqlite.py               SQLite: driver, pragmas, one writer at a time, the file
postgresql.py           PostgreSQL: driver, pool, isolation, one writer at a time
tables.py               the tables
prepared_statements.py  statements compiled once and run by the driver itself
notifications.py        what the database tells of other processes' commits
idempotency.py          answers kept under an idempotency key
vectors.py              vectors as JSON numbers, float32 arrays and bytes
"""
