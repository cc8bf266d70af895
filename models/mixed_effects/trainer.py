"""The trainer: users and items in turn, with what they have in common, until the bound stands still.

Vectors are standardised inside, so their scale changes nothing but rounding. All sums are in float64.
Does not know users' or items' ids, nor where a result is kept.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from models.mixed_effects import items as items_
from models.mixed_effects import model as model_
from models.mixed_effects import users as users_
from models.mixed_effects.items import Asked, Items
from models.mixed_effects.model import MixedEffectsModel
from models.mixed_effects.predictor import Predictor, covariance_factors
from models.mixed_effects.priors import Prior, rescaled
from models.mixed_effects.standardisation import Standardisation
from models.mixed_effects.users import Batch, batches
from models.model import Tastes, packed
from models.responses import Responses
from models.trainer import Learned, Step

_FIRST_VARIANCE = 0.1  # of everything but the learned dimensions, which start as N(0, 1)
_STEPS_BEFORE_STOPPING = 5


class MixedEffectsOptions(BaseModel):
    """The choices there are; nothing needs to be chosen."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    learned_dimensions: int = Field(8, ge=0, le=64, description="dimensions learned beside the named ones")
    tolerance: float = Field(1e-4, gt=0, le=0.1, description="least relative change of the bound to go on")
    max_steps: int = Field(200, ge=1, le=10_000, description="most steps")


@dataclass(frozen=True)
class Fit:
    """What a training ends with: the predictor, every user's taste, and a sentence on how it ended."""

    predictor: Predictor
    tastes: Tastes
    status: str


@dataclass(frozen=True)
class _State:
    """Everything that a step moves; xi [responses]."""

    items: Items
    users_prior: Prior
    items_prior: Prior
    effects: Tensor  # B [K, A]
    xi: Tensor


@dataclass
class _Sums:
    """What the batches of one pass over the users leave behind."""

    means: Tensor  # [users, P]
    learned: Tensor  # E[ggᵀ] of g = [e_q, 1] [users, K²]
    covariances: Tensor  # [P, P], summed over users
    log_determinants: float
    logits: Tensor  # [responses]
    xi: Tensor  # [responses]
    crossed: Tensor  # [responses, K]


class MixedEffects:
    """The trainer of the mixed-effects model."""

    def __init__(self, options: MixedEffectsOptions) -> None:
        self.options = options

    @property
    def steps_total(self) -> int:
        """As many as may be needed; most trainings stop sooner."""
        return self.options.max_steps

    def fit(self, responses: Responses, seed: int, report: Callable[[Step], None]) -> Learned:
        """Learn from all responses; see `learn`, and `models.trainer.Trainer.fit`."""
        learned = self.learn(responses, seed, report)
        counts = torch.bincount(responses.item_rows, minlength=responses.items)
        return Learned(
            tastes=learned.tastes,
            status=learned.status,
            items=model_.item_states(learned.predictor.items, counts),
            shared=model_.shared_states(learned.predictor, responses.users),
        )

    def restore(
        self, shared: Mapping[str, Tensor], vectors: Tensor, items: Tensor, known: Tensor
    ) -> MixedEffectsModel:
        """Return the model over the items of ``vectors``; see `models.trainer.Trainer.restore`."""
        return model_.restored(shared, vectors, items, known)

    def learn(self, responses: Responses, seed: int, report: Callable[[Step], None]) -> Fit:
        """Learn from all responses; ``report`` gets each step's loss, −bound = data loss + penalty.

        The penalty is the divergence of the posteriors from the priors. ``report`` may raise to stop.
        """
        scale = Standardisation.of(responses.item_vectors)
        state = self._start(scale.constants(responses.item_vectors), responses.values.shape[0], seed)
        lined = list(batches(responses, state.items.features.shape[1]))
        asked = Asked.of(responses)
        halves = responses.values.double() - 0.5
        before, status = -torch.inf, f"stopped after max_steps = {self.options.max_steps} steps"
        for number in range(1, self.options.max_steps + 1):
            sums = _pass_over_users(lined, state, responses)
            step = _step(number, sums, state, halves)
            report(step)
            change = (-step.loss - before) / max(1.0, abs(step.loss))
            before = -step.loss
            state = _advance(state, sums, asked, halves)
            if number > _STEPS_BEFORE_STOPPING and abs(change) < self.options.tolerance:
                status = f"the bound changed by less than {self.options.tolerance:g} after {number} steps"
                break
        # As they are kept, so that whoever is relearned later is held to the same items.
        state = replace(state, items=model_.rounded(state.items))
        predictor = Predictor(
            scale, state.items, state.users_prior, state.items_prior.covariance, state.effects
        )
        return Fit(predictor, _settled(lined, state, responses), status)

    def _start(self, constants: Tensor, responses: int, seed: int) -> _State:
        learned, (count, named) = self.options.learned_dimensions, constants.shape
        generator = torch.Generator().manual_seed(seed)
        means = torch.zeros(count, 1 + learned, dtype=torch.float64)
        means[:, 1:] = torch.randn(count, learned, generator=generator, dtype=torch.float64)
        known = _FIRST_VARIANCE * torch.eye(1 + learned, dtype=torch.float64)
        spread = torch.eye(1 + learned, dtype=torch.float64)
        spread[0, 0] = _FIRST_VARIANCE
        size = named + learned
        return _State(
            items=Items(constants, means, known.expand(count, -1, -1)),
            users_prior=Prior(
                torch.zeros(size, dtype=torch.float64), _FIRST_VARIANCE * torch.eye(size, dtype=torch.float64)
            ),
            items_prior=Prior(torch.zeros_like(means), spread),
            effects=torch.zeros(1 + learned, named, dtype=torch.float64),
            xi=torch.ones(responses, dtype=torch.float64),
        )


def _pass_over_users(lined: list[Batch], state: _State, responses: Responses) -> _Sums:
    """Update all users once, batch by batch."""
    size, known = state.items.features.shape[1], state.items.means.shape[1]
    named = state.items.named
    count = responses.values.shape[0]
    double = torch.float64
    sums = _Sums(
        means=torch.empty(responses.users, size, dtype=double),
        learned=torch.empty(responses.users, known**2, dtype=double),
        covariances=torch.zeros(size, size, dtype=double),
        log_determinants=0.0,
        logits=torch.empty(count, dtype=double),
        xi=torch.empty(count, dtype=double),
        crossed=torch.empty(count, known, dtype=double),
    )
    covariances = state.items.moments.covariances
    spread = responses.sparse(users_.twice_lambda(state.xi)) @ covariances
    for batch in lined:
        xi = state.xi[batch.positions]
        posterior = users_.update(batch, state.items, state.users_prior, xi, spread[batch.users])
        sums.means[batch.users] = posterior.means
        sums.learned[batch.users] = posterior.learned(named)
        sums.covariances += posterior.covariances.sum(0)
        sums.log_determinants += float(posterior.log_determinants.sum())
        for kept, found in (
            (sums.logits, posterior.logits),
            (sums.xi, posterior.squares),
            (sums.crossed, posterior.crossed(named)),
        ):
            kept.index_copy_(
                0, batch.places_of_all, found.flatten(0, 1).index_select(0, batch.places).double()
            )
    squares = torch.sparse.sampled_addmm(responses.sparse(sums.xi), sums.learned, covariances.T).values()
    sums.xi = squares.clamp(min=0).sqrt()
    return sums


def _with_one(tastes: Tensor) -> Tensor:
    return torch.cat([tastes.new_ones(tastes.shape[0], 1), tastes], dim=1)


def _step(number: int, sums: _Sums, state: _State, halves: Tensor) -> Step:
    """Return the step with the bound's two parts, measured where ξ² = E[z²]."""
    # h·E[z] − log(2·cosh(ξ/2)), written so that no ξ overflows
    likelihood = (halves * sums.logits).sum() - (sums.xi / 2 + torch.log1p(torch.exp(-sums.xi))).sum()
    covariances = state.items.covariances
    penalty = state.users_prior.divergence(sums.means, sums.covariances, sums.log_determinants)
    penalty += state.items_prior.divergence(
        state.items.means, covariances.sum(0), float(torch.linalg.slogdet(covariances).logabsdet.sum())
    )
    data_loss = -float(likelihood)
    return Step(number, data_loss + penalty, data_loss, penalty)


def _advance(state: _State, sums: _Sums, asked: Asked, halves: Tensor) -> _State:
    """Move the items, then what users have in common, and items."""
    named = state.items.named
    items = items_.update(
        state.items,
        asked,
        state.items_prior,
        halves,
        users_.twice_lambda(sums.xi),
        sums.crossed,
        _with_one(sums.means[:, named:]),
        sums.learned,
    )
    users_prior = _next_prior(state.users_prior, sums.means, sums.covariances / sums.means.shape[0])
    effects = _effects(items)
    expected = items.constants @ effects.T
    deviations = items.means - expected
    spread = rescaled(
        state.items_prior.covariance,
        items.covariances.mean(0),
        deviations.T @ deviations / deviations.shape[0],
    )
    return _State(items, users_prior, Prior(expected, spread), effects, sums.xi)


def _next_prior(prior: Prior, means: Tensor, posterior: Tensor) -> Prior:
    center = means.mean(0)
    deviations = means - center
    return Prior(center, rescaled(prior.covariance, posterior, deviations.T @ deviations / means.shape[0]))


def _effects(items: Items) -> Tensor:
    """Return B [K, A], the regression of the items' learned sides on [1, x]."""
    known = items.constants
    # The least ridge: a constant dimension stands as zeros in the standardised vectors, or two are the same.
    gram = known.T @ known + 1e-9 * known.shape[0] * torch.eye(known.shape[1], dtype=known.dtype)
    effects: Tensor = torch.linalg.solve(gram, known.T @ items.means)
    return effects.T


def _settled(lined: list[Batch], state: _State, responses: Responses) -> Tastes:
    """Return every user's posterior with the items held where they are."""
    size = state.items.features.shape[1]
    embeddings = torch.empty(responses.users, size)
    factors = torch.empty(responses.users, size * (size + 1) // 2)
    for batch in lined:
        posterior, _ = users_.settle(batch, state.items, state.users_prior, state.xi[batch.positions])
        embeddings[batch.users] = posterior.means.float()
        factors[batch.users] = packed(covariance_factors(posterior.factors)).float()
    return Tastes(embeddings, factors)
