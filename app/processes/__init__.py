"""Warm processes beside the web process, which do what may take too long and may be killed at it.

frames.py      how the web process and its processes talk
refusals.py    how a process says what is wrong with its task
program.py     what the processes of a pool run
pool.py        the processes, as the web process sees them
worker.py      what each of them does, whatever its tasks are

Does not know what is done in them.
"""
