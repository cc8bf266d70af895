"""Trainings on a Ray cluster. Imports Ray, an extra, only when a training runs there.

cluster.py  connecting to a cluster, or starting one
tasks.py    coordinate updates as Ray's tasks
"""
