"""The command line: what a person types at a terminal. Does not know HTTP.

main.py           the commands' root: serve, worker, migrate, import movielens; errors as one line each
training.py       train and evaluate, with their flags
training_runs.py  waiting for a training, and printing what it scored
scores.py         scores and demo
demo.py           the class example as a catalog
backup.py         backup, restore, verify and copy
keys.py           API keys
output.py         the console, lines and progress bars
healthcheck.py    the container's health check, a program of its own
"""
