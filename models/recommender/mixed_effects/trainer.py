"""The trainer: coordinate ascent on the bound, users and items in turn with their priors, until it converges.

Vectors are standardised inside, so their scale changes nothing but rounding. All sums are in float64.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from pydantic import Field
from torch import Tensor

from models.options import Options
from models.recommender.data import Responses
from models.recommender.devices import DEVICE, DeviceName, find_device, to_processor
from models.recommender.mixed_effects import model as model_
from models.recommender.mixed_effects.coordinate_updates import (
    CoordinateUpdates,
    GlobalParameters,
    LocalUpdates,
    Totals,
)
from models.recommender.mixed_effects.items import Items
from models.recommender.mixed_effects.model import MixedEffectsModel
from models.recommender.mixed_effects.predictor import Predictor
from models.recommender.mixed_effects.priors import PosteriorSums, Prior, update_covariance
from models.recommender.mixed_effects.standardisation import Standardisation
from models.recommender.model import UserPosteriors
from models.recommender.trainer import Sizes, Step, TrainingResult

_INITIAL_VARIANCE = 0.1  # of all but the learned dimensions, which start as N(0, 1)
_STEPS_BEFORE_STOPPING = 5


class MixedEffectsOptions(Options):
    """The choices there are; nothing needs to be chosen."""

    learned_dimensions: int = Field(8, ge=0, le=64, description="dimensions learned beside the named ones")
    tolerance: float = Field(1e-4, gt=0, le=0.1, description="least relative change of the bound to go on")
    max_steps: int = Field(200, ge=1, le=10_000, description="most steps")
    device: DeviceName = DEVICE


@dataclass(frozen=True)
class Fit:
    """What a training ends with: the predictor, every user's posterior, and a sentence on how it ended."""

    predictor: Predictor
    posteriors: UserPosteriors
    status: str


@dataclass(frozen=True)
class _State:
    """All parameters that a step updates, but for the sites of the responses."""

    items: Items
    log_determinants: float  # of the items' covariances, summed
    users_prior: Prior
    items_prior: Prior
    effects: Tensor  # B [K, A]

    @property
    def global_parameters(self) -> GlobalParameters:
        """What the users' update holds fixed."""
        return GlobalParameters(self.items, self.users_prior)


class MixedEffects:
    """The trainer of the mixed-effects model."""

    def __init__(self, options: MixedEffectsOptions) -> None:
        self.options = options

    @property
    def device(self) -> DeviceName:
        return self.options.device

    @property
    def steps_total(self) -> int:
        return self.options.max_steps

    def sizes(self, dimensions: int) -> Sizes:
        """Return P = 1 + D + L of a user and half of a covariance; for items see `model.item_states`."""
        size, sides = 1 + dimensions + self.options.learned_dimensions, 1 + self.options.learned_dimensions
        return Sizes(size, size * (size + 1) // 2, sides + sides * (sides + 1) // 2 + 1)

    def fit(self, responses: Responses, seed: int, report: Callable[[Step], None]) -> TrainingResult:
        counts = torch.bincount(responses.item_rows, minlength=responses.items)
        return result_of(self.learn(responses, seed, report), counts)

    def restore(
        self, parameters: Mapping[str, Tensor], vectors: Tensor, items: Tensor, trained_items: Tensor
    ) -> MixedEffectsModel:
        return model_.restored(parameters, vectors, items, trained_items)

    def learn(self, responses: Responses, seed: int, report: Callable[[Step], None]) -> Fit:
        """Learn from all responses; ``report`` gets each step's loss, −bound = data loss + penalty.

        The penalty is the divergence of the posteriors from the priors. ``report`` may raise to stop.
        """
        device = find_device(self.options.device)
        if device.type == "cpu":
            return self._learn(responses, seed, report)
        with device:  # new tensors are made there
            return to_processor(self._learn(responses.to(device), seed, report))

    def _learn(self, responses: Responses, seed: int, report: Callable[[Step], None]) -> Fit:
        updates = LocalUpdates(responses, self.sizes(responses.dimensions).embedding)
        return self.learn_by(updates, responses.item_vectors, seed, report)

    def learn_by(
        self, updates: CoordinateUpdates, vectors: Tensor, seed: int, report: Callable[[Step], None]
    ) -> Fit:
        """Learn by these coordinate updates, over items of ``vectors`` [items, D]; see `learn`."""
        scale = Standardisation.of(vectors)
        state = self._initial_state(scale.constants(vectors), seed)
        previous_bound, status = -torch.inf, f"stopped after max_steps = {self.options.max_steps} steps"
        for number in range(1, self.options.max_steps + 1):
            totals = updates.update_users(state.global_parameters)
            step = _step(number, totals, state)
            report(step)
            change = (-step.loss - previous_bound) / max(1.0, abs(step.loss))
            previous_bound = -step.loss
            state = _advance(state, totals.posteriors, updates)
            if number > _STEPS_BEFORE_STOPPING and abs(change) < self.options.tolerance:
                status = f"the bound changed by less than {self.options.tolerance:g} after {number} steps"
                break
        # Rounded as they are stored, so that a later fold-in holds the same items fixed.
        state = replace(state, items=model_.rounded(state.items))
        predictor = Predictor(
            scale, state.items, state.users_prior, state.items_prior.covariance, state.effects
        )
        return Fit(predictor, updates.fold_in_users(state.global_parameters), status)

    def _initial_state(self, constants: Tensor, seed: int) -> _State:
        (count, named_size), learned_size = constants.shape, self.options.learned_dimensions
        generator = torch.Generator("cpu").manual_seed(seed)  # the same numbers on every device
        means = torch.zeros(count, 1 + learned_size, dtype=torch.float64)
        means[:, 1:] = torch.randn(
            count, learned_size, generator=generator, dtype=torch.float64, device=generator.device
        )
        covariance = _INITIAL_VARIANCE * torch.eye(1 + learned_size, dtype=torch.float64)
        prior_covariance = torch.eye(1 + learned_size, dtype=torch.float64)
        prior_covariance[0, 0] = _INITIAL_VARIANCE
        size = named_size + learned_size
        return _State(
            items=Items(constants, means, covariance.expand(count, -1, -1)),
            log_determinants=count * float(torch.logdet(covariance)),
            users_prior=Prior(
                torch.zeros(size, dtype=torch.float64),
                _INITIAL_VARIANCE * torch.eye(size, dtype=torch.float64),
            ),
            items_prior=Prior(torch.zeros_like(means), prior_covariance),
            effects=torch.zeros(1 + learned_size, named_size, dtype=torch.float64),
        )


def result_of(fit: Fit, counts: Tensor) -> TrainingResult:
    """Return what is stored of a fit; ``counts`` [items] of responses."""
    return TrainingResult(
        posteriors=fit.posteriors,
        status=fit.status,
        items=model_.item_states(fit.predictor.items, counts),
        shared=model_.shared_states(fit.predictor, len(fit.posteriors)),
    )


def _step(number: int, totals: Totals, state: _State) -> Step:
    """Return the step with the bound's two parts."""
    penalty = state.users_prior.divergence(totals.posteriors)
    penalty += state.items_prior.divergence(
        state.items_prior.sums(state.items.means, state.items.covariances.sum(0), state.log_determinants)
    )
    return Step(number, penalty - totals.log_likelihood, -totals.log_likelihood, penalty)


def _advance(state: _State, users: PosteriorSums, updates: CoordinateUpdates) -> _State:
    """Update the items, then the priors of users and of items."""
    items, log_determinants = updates.update_items(state.items, state.items_prior)
    users_prior = _next_prior(state.users_prior, users)
    effects = _effects(items)
    prior_means = items.constants @ effects.T
    deviations = items.means - prior_means
    covariance = update_covariance(
        state.items_prior.covariance,
        items.covariances.mean(0),
        deviations.T @ deviations / deviations.shape[0],
    )
    return _State(items, log_determinants, users_prior, Prior(prior_means, covariance), effects)


def _next_prior(prior: Prior, users: PosteriorSums) -> Prior:
    """Return the users' next prior N(μ, Σ), given the present prior's sums of their posteriors."""
    shift = users.deviations / users.count
    scatter = users.scatter / users.count - torch.outer(shift, shift)  # about the new mean
    covariance = update_covariance(prior.covariance, users.covariances / users.count, scatter)
    return Prior(prior.mean + shift, covariance)


def _effects(items: Items) -> Tensor:
    """Return B [K, A], the regression of the items' means on [1, x]."""
    constants = items.constants
    # A minimal ridge: a constant dimension is all zeros in the standardised vectors, or two are equal.
    ridge = 1e-9 * constants.shape[0] * torch.eye(constants.shape[1], dtype=constants.dtype)
    effects: Tensor = torch.linalg.solve(constants.T @ constants + ridge, constants.T @ items.means)
    return effects.T
