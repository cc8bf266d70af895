"""The trainer: users and items in turn, with what they have in common, until the bound stands still.

Vectors are standardised inside, so their scale changes nothing but rounding. All sums are in float64.
Does not know users' or items' ids, nor where a result is kept.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from pydantic import Field
from torch import Tensor

from models.options import Options
from models.recommender.data import Responses
from models.recommender.devices import DEVICE, DeviceName, brought_back, find_device
from models.recommender.mixed_effects import model as model_
from models.recommender.mixed_effects.coordinate_updates import Common, HalfSteps, Here, Totals
from models.recommender.mixed_effects.items import Items
from models.recommender.mixed_effects.model import MixedEffectsModel
from models.recommender.mixed_effects.predictor import Predictor
from models.recommender.mixed_effects.priors import Posteriors, Prior, rescaled
from models.recommender.mixed_effects.standardisation import Standardisation
from models.recommender.model import UserPosteriors
from models.recommender.trainer import Learned, Sizes, Step

_FIRST_VARIANCE = 0.1  # of everything but the learned dimensions, which start as N(0, 1)
_STEPS_BEFORE_STOPPING = 5


class MixedEffectsOptions(Options):
    """The choices there are; nothing needs to be chosen."""

    learned_dimensions: int = Field(8, ge=0, le=64, description="dimensions learned beside the named ones")
    tolerance: float = Field(1e-4, gt=0, le=0.1, description="least relative change of the bound to go on")
    max_steps: int = Field(200, ge=1, le=10_000, description="most steps")
    device: DeviceName = DEVICE


@dataclass(frozen=True)
class Fit:
    """What a training ends with: the predictor, every user's taste, and a sentence on how it ended."""

    predictor: Predictor
    posteriors: UserPosteriors
    status: str


@dataclass(frozen=True)
class _State:
    """Everything that a step moves, but for what it leaves of each response."""

    items: Items
    log_determinants: float  # of the items' covariances, summed
    users_prior: Prior
    items_prior: Prior
    effects: Tensor  # B [K, A]

    @property
    def common(self) -> Common:
        """What users are held to."""
        return Common(self.items, self.users_prior)


class MixedEffects:
    """The trainer of the mixed-effects model."""

    def __init__(self, options: MixedEffectsOptions) -> None:
        self.options = options

    @property
    def device(self) -> DeviceName:
        """As chosen."""
        return self.options.device

    @property
    def steps_total(self) -> int:
        """As many as may be needed; most trainings stop sooner."""
        return self.options.max_steps

    def sizes(self, dimensions: int) -> Sizes:
        """Return P = 1 + D + L of a user and half of a covariance; for items see `model.item_states`."""
        size, kept = 1 + dimensions + self.options.learned_dimensions, 1 + self.options.learned_dimensions
        return Sizes(size, size * (size + 1) // 2, kept + kept * (kept + 1) // 2 + 1)

    def fit(self, responses: Responses, seed: int, report: Callable[[Step], None]) -> Learned:
        """Learn from all responses; see `learn`, and `models.recommender.trainer.Trainer.fit`."""
        counts = torch.bincount(responses.item_rows, minlength=responses.items)
        return kept(self.learn(responses, seed, report), counts)

    def restore(
        self, shared: Mapping[str, Tensor], vectors: Tensor, items: Tensor, known: Tensor
    ) -> MixedEffectsModel:
        """Return the model over the items of ``vectors``; see `Trainer.restore`."""
        return model_.restored(shared, vectors, items, known)

    def learn(self, responses: Responses, seed: int, report: Callable[[Step], None]) -> Fit:
        """Learn from all responses; ``report`` gets each step's loss, −bound = data loss + penalty.

        The penalty is the divergence of the posteriors from the priors. ``report`` may raise to stop.
        """
        device = find_device(self.options.device)
        if device.type == "cpu":
            return self._learn(responses, seed, report)
        with device:  # whatever is made anew is made there
            return brought_back(self._learn(responses.to(device), seed, report))

    def _learn(self, responses: Responses, seed: int, report: Callable[[Step], None]) -> Fit:
        coordinate_updates = Here(responses, self.sizes(responses.dimensions).embedding)
        return self.learn_by(coordinate_updates, responses.item_vectors, seed, report)

    def learn_by(
        self, coordinate_updates: HalfSteps, vectors: Tensor, seed: int, report: Callable[[Step], None]
    ) -> Fit:
        """Learn by half-steps that somebody takes, over items of ``vectors`` [items, D]; see `learn`."""
        scale = Standardisation.of(vectors)
        state = self._start(scale.constants(vectors), seed)
        before, status = -torch.inf, f"stopped after max_steps = {self.options.max_steps} steps"
        for number in range(1, self.options.max_steps + 1):
            done = coordinate_updates.move_users(state.common)
            step = _step(number, done, state)
            report(step)
            change = (-step.loss - before) / max(1.0, abs(step.loss))
            before = -step.loss
            state = _advance(state, done.users, coordinate_updates)
            if number > _STEPS_BEFORE_STOPPING and abs(change) < self.options.tolerance:
                status = f"the bound changed by less than {self.options.tolerance:g} after {number} steps"
                break
        # As they are kept, so that whoever is relearned later is held to the same items.
        state = replace(state, items=model_.rounded(state.items))
        predictor = Predictor(
            scale, state.items, state.users_prior, state.items_prior.covariance, state.effects
        )
        return Fit(predictor, coordinate_updates.settle(state.common), status)

    def _start(self, constants: Tensor, seed: int) -> _State:
        learned, (count, named) = self.options.learned_dimensions, constants.shape
        generator = torch.Generator("cpu").manual_seed(seed)  # the same numbers on every device
        means = torch.zeros(count, 1 + learned, dtype=torch.float64)
        means[:, 1:] = torch.randn(
            count, learned, generator=generator, dtype=torch.float64, device=generator.device
        )
        known = _FIRST_VARIANCE * torch.eye(1 + learned, dtype=torch.float64)
        spread = torch.eye(1 + learned, dtype=torch.float64)
        spread[0, 0] = _FIRST_VARIANCE
        size = named + learned
        return _State(
            items=Items(constants, means, known.expand(count, -1, -1)),
            log_determinants=count * float(torch.logdet(known)),
            users_prior=Prior(
                torch.zeros(size, dtype=torch.float64), _FIRST_VARIANCE * torch.eye(size, dtype=torch.float64)
            ),
            items_prior=Prior(torch.zeros_like(means), spread),
            effects=torch.zeros(1 + learned, named, dtype=torch.float64),
        )


def kept(learned: Fit, answers: Tensor) -> Learned:
    """Return what was learned as it is kept; ``answers`` [items] says how many each item has."""
    return Learned(
        posteriors=learned.posteriors,
        status=learned.status,
        items=model_.item_states(learned.predictor.items, answers),
        shared=model_.shared_states(learned.predictor, len(learned.posteriors)),
    )


def _step(number: int, done: Totals, state: _State) -> Step:
    """Return the step with the bound's two parts."""
    penalty = state.users_prior.divergence(done.users)
    penalty += state.items_prior.divergence(
        state.items_prior.compared(state.items.means, state.items.covariances.sum(0), state.log_determinants)
    )
    return Step(number, penalty - done.likelihood, -done.likelihood, penalty)


def _advance(state: _State, users: Posteriors, coordinate_updates: HalfSteps) -> _State:
    """Move the items, then what users have in common, and items."""
    items, log_determinants = coordinate_updates.move_items(state.items, state.items_prior)
    users_prior = _next_prior(state.users_prior, users)
    effects = _effects(items)
    expected = items.constants @ effects.T
    deviations = items.means - expected
    spread = rescaled(
        state.items_prior.covariance,
        items.covariances.mean(0),
        deviations.T @ deviations / deviations.shape[0],
    )
    return _State(items, log_determinants, users_prior, Prior(expected, spread), effects)


def _next_prior(prior: Prior, users: Posteriors) -> Prior:
    """Return the next prior N(μ, Σ) of users that were compared with the last one."""
    moved = users.deviations / users.count
    scatter = users.scatter / users.count - torch.outer(moved, moved)  # about the new mean
    return Prior(prior.mean + moved, rescaled(prior.covariance, users.covariances / users.count, scatter))


def _effects(items: Items) -> Tensor:
    """Return B [K, A], the regression of the items' learned sides on [1, x]."""
    known = items.constants
    # The least ridge: a constant dimension stands as zeros in the standardised vectors, or two are the same.
    gram = known.T @ known + 1e-9 * known.shape[0] * torch.eye(known.shape[1], dtype=known.dtype)
    effects: Tensor = torch.linalg.solve(gram, known.T @ items.means)
    return effects.T
