"""Pictures of figures, drawn in processes that may be killed: never in the web process.

pool.py        the processes that draw
worker.py      the program that each of them runs
tasks.py       what can be asked of it

Does not know HTTP, nor what a figure shows: `app.plots` does.
"""
