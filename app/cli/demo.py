"""The class example as a catalog: three movies, three users, nine responses, seed 6789.

Source: the class notebook, section "Embedding layer". Does not know how it is trained or shown.
"""

from sqlalchemy import Connection

from app.catalogs.catalogs import find_catalog, put_catalog
from app.catalogs.movies import put_movie
from app.errors import NotFound
from app.scoring.model_cache import TrainedModels
from app.scoring.responses import put_response

CATALOG = "class"
SEED = 6789
DIMENSIONS = ("violence", "positive message", "language")
MOVIES = {"m0": (0.6, 0.4, -0.2), "m1": (-0.7, 0.8, -0.7), "m2": (0.8, -0.75, 0.9)}
RESPONSES = {"0": (1, 0, 0), "1": (0, 1, 0), "2": (0, 0, 1)}


def load_class(connection: Connection) -> bool:
    """Store the class catalog, unless there is one of this name; return whether it was stored."""
    try:
        find_catalog(connection, CATALOG)
    except NotFound:
        models = TrainedModels()  # none is trained yet
        put_catalog(connection, CATALOG, "The class example", DIMENSIONS)
        for movie, vector in MOVIES.items():
            put_movie(connection, CATALOG, movie, None, vector)
        for user, answers in RESPONSES.items():
            for movie, response in zip(MOVIES, answers, strict=True):
                put_response(connection, models, CATALOG, user, movie, response, None)
        return True
    return False
