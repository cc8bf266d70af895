"""What tests and benchmarks both start: services, databases, browsers, catalogs. It knows neither.

catalogs.py     catalogs made over HTTP, and the settings of a service that shows the whole console
chromium.py     the Chromium in which the console is looked at
databases.py    a SQLite file or a PostgreSQL database of one's own, and a server for the latter
documents.py    the tables that stand between marks in a document
live.py         `likely serve` in a process of its own, and what the kernel says of processes
running.py      the class stored, trained and asked for over HTTP; percentiles of times
"""
