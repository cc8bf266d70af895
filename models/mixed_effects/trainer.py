"""The trainer: users and items in turn, with what they have in common, until the bound stands still.

Vectors are standardised inside, so their scale changes nothing but rounding. All sums are in float64.
Does not know users' or items' ids, nor where a result is kept.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from pydantic import Field
from torch import Tensor

from models.devices import DEVICE, DeviceName, brought_back, find_device
from models.mixed_effects import items as items_
from models.mixed_effects import model as model_
from models.mixed_effects import users as users_
from models.mixed_effects.blocks import Block, Cut
from models.mixed_effects.items import Items
from models.mixed_effects.logistic import evidence
from models.mixed_effects.model import MixedEffectsModel
from models.mixed_effects.predictor import Predictor, covariance_factors
from models.mixed_effects.priors import Prior, rescaled
from models.mixed_effects.standardisation import Standardisation
from models.model import Tastes, packed
from models.options import Options
from models.responses import Responses
from models.trainer import Learned, Sizes, Step

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
    tastes: Tastes
    status: str


@dataclass(frozen=True)
class _State:
    """Everything that a step moves. weights and pulls float32 [responses] are in the cut's order."""

    items: Items
    log_determinants: float  # of the items' covariances, summed
    users_prior: Prior
    items_prior: Prior
    effects: Tensor  # B [K, A]
    weights: Tensor
    pulls: Tensor


@dataclass
class _Pass:
    """What the blocks of one pass over the users leave behind."""

    means: Tensor  # [users, P]
    covariances: Tensor  # [P, P], summed over users
    log_determinants: float
    likelihood: float
    weights: Tensor  # [responses]
    pulls: Tensor  # [responses]
    items: items_.Sums

    @classmethod
    def begun(cls, state: _State, users: int) -> "_Pass":
        """Return what there is before the first block."""
        size, double = state.items.features.shape[1], torch.float64
        return cls(
            torch.empty(users, size, dtype=double),
            torch.zeros(size, size, dtype=double),
            log_determinants=0.0,
            likelihood=0.0,
            weights=torch.empty_like(state.weights),
            pulls=torch.empty_like(state.pulls),
            items=items_.Sums.none(state.items),
        )


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
        device = find_device(self.options.device)
        if device.type == "cpu":
            return self._learn(responses, seed, report)
        with device:  # whatever is made anew is made there
            return brought_back(self._learn(responses.to(device), seed, report))

    def _learn(self, responses: Responses, seed: int, report: Callable[[Step], None]) -> Fit:
        scale = Standardisation.of(responses.item_vectors)
        constants = scale.constants(responses.item_vectors)
        cut = Cut.of(responses, constants.shape[1] + self.options.learned_dimensions)
        state = self._start(constants, cut.values, seed)
        before, status = -torch.inf, f"stopped after max_steps = {self.options.max_steps} steps"
        for number in range(1, self.options.max_steps + 1):
            done = _pass_over_users(cut, state)
            step = _step(number, done, state)
            report(step)
            change = (-step.loss - before) / max(1.0, abs(step.loss))
            before = -step.loss
            state = _advance(state, done)
            if number > _STEPS_BEFORE_STOPPING and abs(change) < self.options.tolerance:
                status = f"the bound changed by less than {self.options.tolerance:g} after {number} steps"
                break
        # As they are kept, so that whoever is relearned later is held to the same items.
        state = replace(state, items=model_.rounded(state.items))
        predictor = Predictor(
            scale, state.items, state.users_prior, state.items_prior.covariance, state.effects
        )
        return Fit(predictor, _settled(cut, state), status)

    def _start(self, constants: Tensor, answers: Tensor, seed: int) -> _State:
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
        said = evidence(answers, torch.zeros_like(answers), torch.ones_like(answers))
        return _State(
            items=Items(constants, means, known.expand(count, -1, -1)),
            log_determinants=count * float(torch.logdet(known)),
            users_prior=Prior(
                torch.zeros(size, dtype=torch.float64), _FIRST_VARIANCE * torch.eye(size, dtype=torch.float64)
            ),
            items_prior=Prior(torch.zeros_like(means), spread),
            effects=torch.zeros(1 + learned, named, dtype=torch.float64),
            weights=said.weights,
            pulls=said.pulls,
        )


def _pass_over_users(cut: Cut, state: _State) -> _Pass:
    """Update all users once, block by block, and sum up what the items need of them."""
    done = _Pass.begun(state, len(cut.order))
    for block in cut.blocks:
        _update_block(block, cut.values[block.responses], state, done)
    return done


def _update_block(block: Block, answers: Tensor, state: _State, done: _Pass) -> None:
    items, named, known = state.items, state.items.named, state.items.means.shape[1]
    precision = users_.precision(block.batches)
    room = users_.Room(block.batches, items.wide.shape[1], precision)
    covariances = items.moments.covariances.to(precision)
    weights, pulls = (each[block.responses].to(precision) for each in (state.weights, state.pulls))
    count, users = len(answers), block.users.stop - block.users.start
    logits, squares = weights.new_empty(count), weights.new_empty(count)
    crossed = torch.empty(count, known, dtype=torch.float64)
    learned = torch.empty(users, known**2, dtype=torch.float64)
    spread = block.asked.holding(weights) @ covariances
    for batch in block.batches:
        own = batch.responses
        posterior = users_.update(
            batch, items, state.users_prior, weights[own], pulls[own], spread[batch.users], room
        )
        done.means[block.users][batch.users] = posterior.means
        done.covariances += posterior.covariances.sum(0)
        done.log_determinants += float(posterior.log_determinants.sum())
        learned[batch.users] = posterior.learned(named)
        logits[own] = batch.unlined(posterior.logits)
        squares[own] = batch.unlined(posterior.squares)
        crossed[own] = batch.unlined(posterior.crossed(named))
    # what the items' covariances add
    squares = torch.sparse.sampled_addmm(
        block.asked.holding(squares), learned.to(precision), covariances.T
    ).values()
    said = evidence(*(each.float() for each in (answers, logits, (squares - logits**2).clamp(min=0))))
    done.weights[block.responses], done.pulls[block.responses] = said.weights, said.pulls
    done.likelihood += float(said.likelihood.sum(dtype=torch.float64))
    done.items.add(block, said, learned, crossed)


def _step(number: int, done: _Pass, state: _State) -> Step:
    """Return the step with the bound's two parts."""
    covariances = state.items.covariances
    penalty = state.users_prior.divergence(done.means, done.covariances, done.log_determinants)
    penalty += state.items_prior.divergence(state.items.means, covariances.sum(0), state.log_determinants)
    return Step(number, penalty - done.likelihood, -done.likelihood, penalty)


def _advance(state: _State, done: _Pass) -> _State:
    """Move the items, then what users have in common, and items."""
    items, log_determinants = items_.update(state.items, state.items_prior, done.items)
    users_prior = _next_prior(state.users_prior, done.means, done.covariances / done.means.shape[0])
    effects = _effects(items)
    expected = items.constants @ effects.T
    deviations = items.means - expected
    spread = rescaled(
        state.items_prior.covariance,
        items.covariances.mean(0),
        deviations.T @ deviations / deviations.shape[0],
    )
    prior = Prior(expected, spread)
    return _State(items, log_determinants, users_prior, prior, effects, done.weights, done.pulls)


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


def _settled(cut: Cut, state: _State) -> Tastes:
    """Return every user's posterior with the items held where they are."""
    size = state.items.features.shape[1]
    embeddings = torch.empty(len(cut.order), size)
    factors = torch.empty(len(cut.order), size * (size + 1) // 2)
    for block in cut.blocks:
        known = [each[block.responses] for each in (cut.values, state.weights, state.pulls)]
        rows = cut.order[block.users]
        room = users_.Room(block.batches, state.items.wide.shape[1], torch.float64)
        for batch in block.batches:
            answers, weights, pulls = (each[batch.responses].double() for each in known)
            posterior = users_.settled(batch, state.items, state.users_prior, answers, weights, pulls, room)
            embeddings[rows[batch.users]] = posterior.means.float()
            factors[rows[batch.users]] = packed(covariance_factors(posterior.factors)).float()
    return Tastes(embeddings, factors)
