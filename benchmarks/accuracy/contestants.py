"""Who is measured: each model's name, its environment, and what it can be asked.

Does not know how a model is called; the file and class named here do.
"""

from dataclasses import dataclass
from typing import Literal

LIKELY = "Likely, mixed_effects"


@dataclass(frozen=True)
class Contestant:
    """A model, the package whose version counts, and the environment that it runs in.

    probabilities: whether its scores claim to be any; others are scaled for every figure but the AUC.
    new_users: how it learns of a new user; ``fewest`` responses it needs for that.
    """

    name: str
    model: str
    package: str
    environment: str = "main"
    probabilities: bool = True
    new_users: Literal["taken in", "another training", "not asked"] = "another training"
    fewest: int = 0


CONTESTANTS = (
    Contestant(LIKELY, "likely_model:WithLearnedDimensions", "likely", new_users="taken in"),
    Contestant(
        "Likely, mixed_effects, named dimensions only",
        "likely_model:NamedOnly",
        "likely",
        new_users="taken in",
    ),
    Contestant("Likely, gradient_descent", "likely_model:Descent", "likely", new_users="not asked"),
    Contestant("myFM with genres", "peers.myfm_models:FactorizationMachineWithGenres", "myfm", "myfm"),
    Contestant("myFM", "peers.myfm_models:FactorizationMachine", "myfm", "myfm"),
    Contestant("Surprise SVD++", "peers.surprise_models:SVDpp", "scikit-surprise"),
    Contestant("Surprise SVD", "peers.surprise_models:SVD", "scikit-surprise"),
    Contestant("Surprise KNNBaseline", "peers.surprise_models:KNNBaseline", "scikit-surprise"),
    Contestant(
        "LensKit BiasedMF", "peers.lenskit_models:BiasedMF", "lenskit", "lenskit", new_users="taken in"
    ),
    Contestant(
        "scikit-learn logistic regression, one a user",
        "peers.logistic_regression:LogisticRegressions",
        "scikit-learn",
        new_users="taken in",
        fewest=1,
    ),
    Contestant(
        "implicit ALS",
        "peers.implicit_models:ALS",
        "implicit",
        probabilities=False,
        new_users="taken in",
        fewest=1,
    ),
    Contestant("implicit BPR", "peers.implicit_models:BPR", "implicit", probabilities=False, fewest=1),
    Contestant(
        "implicit logistic MF", "peers.implicit_models:LogisticMF", "implicit", probabilities=False, fewest=1
    ),
    Contestant(
        "likes less dislikes, by cosine",
        "peers.cosine:Cosine",
        "numpy",
        probabilities=False,
        new_users="taken in",
        fewest=1,
    ),
    Contestant("the movie's mean", "peers.movie_mean:MovieMean", "numpy", new_users="taken in"),
)


def is_peer(name: str) -> bool:
    """Return whether a model is somebody else's."""
    return not name.startswith("Likely")
