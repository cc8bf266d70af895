"""Trainings: the queue, the workers that run them, and what they publish. Does not know how a trainer learns.

routes.py      the HTTP API of trainings and of the one that serves
trainings.py   creating, reading, cancelling and promoting them
leases.py      a worker's lease on a training
worker.py      claims trainings, runs and publishes them; folds stale users in between
fitting.py     fitters: a fit in this process or on a Ray cluster
dataset.py     all responses of a catalog, as one snapshot
outlines.py    the same by ranges of users, for a cluster
trials.py      trials on held-out responses
publishing.py  making a training visible, in one transaction
provenance.py  digests of what it saw and learned
metrics.py     metrics and provenance, as they are stored and shown
supervisor.py  the worker process beside `likely serve`
ray/           trainings on a Ray cluster
"""
