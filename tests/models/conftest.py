"""The trainers that every contract test runs; a new trainer is one more line in each of the lists."""

from collections.abc import Iterator, Mapping

import pytest
import torch

from models.recommender.trainer import Trainer
from models.recommender.trainers import make_trainer

Choice = tuple[str, Mapping[str, object]]

# Each as somebody would ask for it.
TRAINERS: Mapping[str, Choice] = {
    "class model": ("gradient_descent", {}),
    "logistic": ("gradient_descent", {"loss": "logistic", "penalty": "squared_norm", "epochs": 400}),
    "logistic, norm": ("gradient_descent", {"loss": "logistic", "epochs": 400}),
    "adam": ("gradient_descent", {"optimizer": "adam", "epochs": 300}),
    "mixed effects": ("mixed_effects", {}),
    "mixed effects, named": ("mixed_effects", {"learned_dimensions": 0}),
}

# What makes each quick, for large data.
FEW_STEPS: Mapping[str, Mapping[str, object]] = {
    "gradient_descent": {"epochs": 3},
    "mixed_effects": {"max_steps": 3},
}

# Each with one minimum only and the patience to get there. The logistic loss is convex, and so is the squared
# one under a penalty that outweighs its negative curvature (see CONVEX_SCALE). A step of plain descent leaves
# 1 − rate · curvature of the way at most: exp(−40) is left after 1,000 steps at a penalty's curvature of 0.4,
# exp(−15) after 3,000 at 0.2 / ‖E‖ where ‖E‖ < 20, exp(−20) after 1,000 at 1 − 0.8.
PATIENT_TRAINERS: Mapping[str, Choice] = {
    "logistic": ("gradient_descent", {"loss": "logistic", "penalty": "squared_norm"}),
    "logistic, norm": ("gradient_descent", {"loss": "logistic", "learning_rate": 0.5, "epochs": 3000}),
    "squared": ("gradient_descent", {"penalty": "squared_norm", "penalty_weight": 0.5, "epochs": 1000}),
    "adam": (
        "gradient_descent",
        {"loss": "logistic", "penalty": "squared_norm", "optimizer": "adam", "learning_rate": 0.01},
    ),
    # Its users are folded in to convergence at the end, however few steps there were.
    "mixed effects": ("mixed_effects", {}),
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Compute in one thread, as the service does: on busy cores, several wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=list(TRAINERS.values()), ids=list(TRAINERS))
def trainer(request: pytest.FixtureRequest) -> Trainer:
    """Every trainer in turn."""
    name, options = request.param
    return make_trainer(name, options)


@pytest.fixture(params=list(PATIENT_TRAINERS.values()), ids=list(PATIENT_TRAINERS))
def patient_trainer(request: pytest.FixtureRequest) -> Trainer:
    """Every trainer in turn, with options under which it converges."""
    name, options = request.param
    return make_trainer(name, options)
