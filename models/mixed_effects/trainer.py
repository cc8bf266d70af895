"""The trainer: users and items in turn, with what they have in common, until the bound stands still.

Vectors are standardised inside, so their scale changes nothing but rounding. All sums are in float64.
Does not know users' or items' ids, nor where a result is kept.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from pydantic import Field
from torch import Tensor

from models.mixed_effects import items as items_
from models.mixed_effects import model as model_
from models.mixed_effects import users as users_
from models.mixed_effects.items import Asked, Items
from models.mixed_effects.logistic import Evidence, evidence
from models.mixed_effects.model import MixedEffectsModel
from models.mixed_effects.predictor import Predictor, covariance_factors
from models.mixed_effects.priors import Prior, rescaled
from models.mixed_effects.standardisation import Standardisation
from models.mixed_effects.users import Batch, batches
from models.model import Tastes, packed
from models.options import Options
from models.responses import Responses
from models.trainer import Learned, Step

_FIRST_VARIANCE = 0.1  # of everything but the learned dimensions, which start as N(0, 1)
_STEPS_BEFORE_STOPPING = 5


class MixedEffectsOptions(Options):
    """The choices there are; nothing needs to be chosen."""

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
    """Everything that a step moves."""

    items: Items
    log_determinants: float  # of the items' covariances, summed
    users_prior: Prior
    items_prior: Prior
    effects: Tensor  # B [K, A]
    evidence: Evidence  # of the responses


@dataclass
class _Sums:
    """What the batches of one pass over the users leave behind."""

    means: Tensor  # [users, P]
    learned: Tensor  # E[ggᵀ] of g = [e_q, 1] [users, K²]
    covariances: Tensor  # [P, P], summed over users
    log_determinants: float
    logits: Tensor  # E[z] [responses]
    squares: Tensor  # E[z²] [responses]
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
        state = self._start(scale.constants(responses.item_vectors), responses.values, seed)
        lined = list(batches(responses, state.items.features.shape[1]))
        asked = Asked.of(responses)
        before, status = -torch.inf, f"stopped after max_steps = {self.options.max_steps} steps"
        for number in range(1, self.options.max_steps + 1):
            sums = _pass_over_users(lined, state, responses)
            said = evidence(*(each.float() for each in (responses.values, sums.logits, _variances(sums))))
            step = _step(number, sums, state, said)
            report(step)
            change = (-step.loss - before) / max(1.0, abs(step.loss))
            before = -step.loss
            state = _advance(state, sums, asked, Evidence(*(each.double() for each in said)))
            if number > _STEPS_BEFORE_STOPPING and abs(change) < self.options.tolerance:
                status = f"the bound changed by less than {self.options.tolerance:g} after {number} steps"
                break
        # As they are kept, so that whoever is relearned later is held to the same items.
        state = replace(state, items=model_.rounded(state.items))
        predictor = Predictor(
            scale, state.items, state.users_prior, state.items_prior.covariance, state.effects
        )
        return Fit(predictor, _settled(lined, state, responses), status)

    def _start(self, constants: Tensor, answers: Tensor, seed: int) -> _State:
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
            log_determinants=count * float(torch.logdet(known)),
            users_prior=Prior(
                torch.zeros(size, dtype=torch.float64), _FIRST_VARIANCE * torch.eye(size, dtype=torch.float64)
            ),
            items_prior=Prior(torch.zeros_like(means), spread),
            effects=torch.zeros(1 + learned, named, dtype=torch.float64),
            evidence=evidence(
                answers.double(), *(torch.full_like(answers, at).double() for at in (0.0, 1.0))
            ),
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
        squares=torch.empty(count, dtype=double),
        crossed=torch.empty(count, known, dtype=double),
    )
    covariances = state.items.moments.covariances
    weights, pulls = state.evidence.weights, state.evidence.pulls
    spread = responses.sparse(weights) @ covariances
    for batch in lined:
        at, of = batch.positions, batch.users
        posterior = users_.update(batch, state.items, state.users_prior, weights[at], pulls[at], spread[of])
        sums.means[batch.users] = posterior.means
        sums.learned[batch.users] = posterior.learned(named)
        sums.covariances += posterior.covariances.sum(0)
        sums.log_determinants += float(posterior.log_determinants.sum())
        for into, found in (
            (sums.logits, posterior.logits),
            (sums.squares, posterior.squares),
            (sums.crossed, posterior.crossed(named)),
        ):
            into.index_copy_(
                0, batch.places_of_all, found.flatten(0, 1).index_select(0, batch.places).double()
            )
    without = responses.sparse(sums.squares)  # what the items' covariances add
    sums.squares = torch.sparse.sampled_addmm(without, sums.learned, covariances.T).values()
    return sums


def _variances(sums: _Sums) -> Tensor:
    return (sums.squares - sums.logits**2).clamp(min=0)


def _with_one(tastes: Tensor) -> Tensor:
    return torch.cat([tastes.new_ones(tastes.shape[0], 1), tastes], dim=1)


def _step(number: int, sums: _Sums, state: _State, said: Evidence) -> Step:
    """Return the step with the bound's two parts."""
    covariances = state.items.covariances
    penalty = state.users_prior.divergence(sums.means, sums.covariances, sums.log_determinants)
    penalty += state.items_prior.divergence(state.items.means, covariances.sum(0), state.log_determinants)
    data_loss = -float(said.likelihood.sum(dtype=torch.float64))
    return Step(number, data_loss + penalty, data_loss, penalty)


def _advance(state: _State, sums: _Sums, asked: Asked, said: Evidence) -> _State:
    """Move the items, then what users have in common, and items."""
    named = state.items.named
    items, log_determinants = items_.update(
        state.items,
        asked,
        state.items_prior,
        said.pulls,
        said.weights,
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
    return _State(items, log_determinants, users_prior, Prior(expected, spread), effects, said)


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
        weights, pulls = state.evidence.weights[batch.positions], state.evidence.pulls[batch.positions]
        posterior = users_.settled(batch, state.items, state.users_prior, weights, pulls)
        embeddings[batch.users] = posterior.means.float()
        factors[batch.users] = packed(covariance_factors(posterior.factors)).float()
    return Tastes(embeddings, factors)
