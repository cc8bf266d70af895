"""Catalogs, their movies and their users. Does not know scores or trainings.

catalogs.py         making, reading and deleting catalogs, and finding the one that a request names
movies.py           storing, reading and deleting movies and their vectors
users.py            who responded, and forgetting them
ids.py              what a caller's ids, titles and dimension names may look like
path_parameters.py  the ids that stand in a path: of a catalog, a movie, a user
routes.py           the endpoints of catalogs, movies and users
imports/            whole files of movies and responses
"""
