"""Warm processes next to the web process, for work that may take too long and can be killed.

pool.py                  the pool of processes, as the web process sees it
worker.py                frames, refusals and the main loop of each process
garbage_collection.py    when GC runs, and when freed memory goes back to the system

Does not know what the processes compute.
"""
