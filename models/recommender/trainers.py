"""The trainers by name, with their options."""

from collections.abc import Mapping

from pydantic import BaseModel

from models.recommender.class_model.gradient_descent import GradientDescent, GradientDescentOptions
from models.recommender.mixed_effects.trainer import MixedEffects, MixedEffectsOptions
from models.recommender.trainer import Trainer

OPTIONS: Mapping[str, type[BaseModel]] = {
    "gradient_descent": GradientDescentOptions,
    "mixed_effects": MixedEffectsOptions,
}


def make_trainer(name: str, options: Mapping[str, object]) -> Trainer:
    """Return the named trainer with these options; raises `ValueError` when there is none of this name."""
    if name == "gradient_descent":
        return GradientDescent(GradientDescentOptions.model_validate(options))
    if name == "mixed_effects":
        return MixedEffects(MixedEffectsOptions.model_validate(options))
    raise ValueError(f"there is no trainer {name!r}")
