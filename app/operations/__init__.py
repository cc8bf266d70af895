"""What keeps a database safe: backups, copies, verification. Does not know HTTP.

backups.py           a database file's backup and restore
copying.py           everything from one database to another
verification.py      whether a database is intact
column_types.py      whether each value is of its column's type
stored_trainings.py  whether what a training stored is intact
stored_digests.py    a training's digests, taken again
"""
