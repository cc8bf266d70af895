"""Imports in a process beside the web process, so that nobody waits while a file is read and checked.

tasks.py     what is asked of the process, and the doing of it
pool.py      the process, as the web process sees it
worker.py    what runs in it

Does not know HTTP, nor how a file is read (`app.import_files`) or stored (`app.imports`).
"""
