"""The mixed-effects model as a training left it: what is kept, and what can be asked of it.

What is kept of an item is its w_m = [b_m, q_m] with its covariance and how many answered it, float32; of a
user the mean of e_u and a factor of its covariance, float32. Everything is computed from these in float64.
Does not know how they were learned, nor where they are kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from models.recommender.mixed_effects.fold_in import Normal
from models.recommender.mixed_effects.items import Items
from models.recommender.mixed_effects.logistic import expectations, logistic_moments
from models.recommender.mixed_effects.predictor import Predictor
from models.recommender.mixed_effects.priors import Prior
from models.recommender.mixed_effects.standardisation import Standardisation
from models.recommender.mixed_effects.terms import FEW, ItemTerms, UserTerms
from models.recommender.model import Explanation, Prediction, UserPosterior, Weights
from models.recommender.scoring import Best, best_among, best_of, scores

_NUMBERS_AT_ONCE = 4_000_000  # float64, in the largest array
_NOTHING = 1e-300  # so that of no uncertainty nothing is to be learned


@dataclass(frozen=True)
class MixedEffectsModel:
    """A training's predictor over the items of ``vectors`` float32 [items, D], as callers know them.

    ``chances`` [items]: how likely somebody is to have an answer for it, from how many of the users had.
    """

    predictor: Predictor
    vectors: Tensor
    chances: Tensor

    @property
    def uncertain(self) -> bool:
        """UserPosteriors have factors."""
        return True

    @property
    def coupled(self) -> bool:
        """The items held, no user depends on another."""
        return False

    def cold_start(self) -> UserPosterior:
        """Return the population's taste."""
        return _kept(self.predictor.cold_start())

    def fold_in(
        self,
        rows: Tensor,
        answers: Tensor,
        start: UserPosterior | None,
        others_squared_norm: float = 0.0,  # noqa: ARG002 - users do not depend on each other, the items held
    ) -> UserPosterior:
        """Learn the posterior of one user with the items held where they are."""
        if len(rows) == 0:
            return self.cold_start()
        return _kept(self.predictor.fold_in(rows, answers, None if start is None else _gaussian(start)))

    def predict(self, taste: UserPosterior, rows: Tensor) -> Prediction:
        """Predict from the two posteriors; see `.predictor`, and for a few items `.terms`."""
        if len(rows) > FEW:
            return self.predictor.predict(_gaussian(taste), self.predictor.items.gather(rows))
        return self._terms.predict(self._taste_terms(taste), rows)

    def predict_pairs(self, tastes: Sequence[UserPosterior], users: Tensor, rows: Tensor) -> Prediction:
        """Predict pair by pair: as `predict`, user by user."""
        return self._terms.predict_pairs(tastes, users, rows)

    def best(self, taste: UserPosterior, limit: int, excluded: Tensor, min_logit: float) -> Best:
        """Find the best by float32 bounds of all items' logits."""
        terms = self._taste_terms(taste)
        return best_of(
            self._terms.bounds(terms),
            lambda rows: self._terms.logits(terms, rows),
            limit,
            excluded.numpy(),
            min_logit,
        )

    def best_among(self, taste: UserPosterior, rows: Tensor, limit: int, min_logit: float) -> Best:
        """Compute what `best` computes of those that are worth a look."""
        terms = self._taste_terms(taste)
        return best_among(rows.numpy(), lambda some: self._terms.logits(terms, some), limit, min_logit)

    def item_sides(self, rows: Tensor) -> Tensor:
        """Return κ·[φ, b], κ as the population's uncertainty has it: that of a user is not known here."""
        return self._terms.sides(self._taste_terms(self._population), rows)

    def user_side(self, taste: UserPosterior) -> Tensor:
        """Return [m, 1]."""
        return self._taste_terms(taste).mean

    def show(self, taste: UserPosterior) -> Weights:
        """Return e_u, its named part on the scale of the callers' vectors: e_d·(x_d − c_d)/s_d."""
        embedding, named = taste.embedding.double(), self.predictor.items.named
        scale = self.predictor.scale
        weights = embedding[1:named] / scale.scale
        return Weights(float(embedding[0] - weights @ scale.shift), weights, embedding[named:])

    def explain(self, taste: UserPosterior, rows: Tensor) -> Explanation:
        """Say the sum κ·(b + user bias + Σ weight_d·x_d + e_q·q)."""
        items, shown = self.predictor.items.gather(rows), self.show(taste)
        return Explanation(
            damping=self.predict(taste, rows).damping,
            item_biases=items.means[:, 0],
            user_bias=shown.user_bias,
            weights=shown.weights,
            values=self.predictor.scale.bounded(self.vectors[rows]),
            learned=items.means[:, 1:] @ shown.learned,
        )

    def influences(
        self,
        taste: UserPosterior,
        rows: Tensor,
        answers: Tensor,
        targets: Tensor,
        others_squared_norm: float = 0.0,  # noqa: ARG002 - as in `fold_in`
    ) -> Tensor:
        """Take each answer's share out of the posterior's precision, the other answers' weights held."""
        own, known = self.predictor.items.gather(rows), _gaussian(taste)
        precision = torch.linalg.inv(known.covariance)
        found = self.predict(taste, rows)
        weights, pseudo_targets, _ = expectations(answers.double(), found.mean, found.variance)
        features, named = own.features, own.named
        slopes = (pseudo_targets - weights * own.means[:, 0])[:, None] * features
        slopes[:, named:] -= weights[:, None] * own.covariances[:, 0, 1:]
        moved = torch.empty(len(targets), len(rows), dtype=torch.float64)
        shown = self.predictor.items.gather(targets).features
        for part in torch.split(torch.arange(len(rows)), max(1, _NUMBERS_AT_ONCE // precision.numel())):
            shares = features[part, :, None] * features[part, None, :]
            shares[:, named:, named:] += own.covariances[part, 1:, 1:]
            without = precision - weights[part, None, None] * shares
            means = torch.linalg.solve(without, precision @ known.mean - slopes[part])
            moved[:, part] = shown @ (known.mean - means).T
        return moved

    def expected_information_gain(self, taste: UserPosterior) -> Tensor:
        """Expect of each item's answer which share of the scores' variances it would take away.

        An answer adds 1/(1/w + v) to the precision along φ, v what is not known of the item itself, and so
        takes (φᵀCφₒ)² / (1/w + v + φᵀCφ) from var z of an item φₒ. A score moves with σ(1 − σ) times z.
        Not everybody has an answer: it counts as often as people had one.
        """
        items, known = self.predictor.items, _gaussian(taste)
        found = self.predictor.predict(known, items)
        probable = scores(found.logits)
        features = items.features
        slopes = (probable * (1.0 - probable)).square()
        spread = features @ known.covariance
        own = (spread * features).sum(-1)
        noise = 1.0 / logistic_moments(found.mean, found.variance).slope + found.variance - own
        everywhere = features.T @ (slopes[:, None] * features)
        uncertain = (slopes * own).sum().clamp(min=_NOTHING)
        return self.chances * ((spread @ everywhere) * spread).sum(-1) / (noise + own) / uncertain

    @cached_property
    def _population(self) -> UserPosterior:
        return self.cold_start()

    @cached_property
    def _terms(self) -> ItemTerms:
        return ItemTerms.of(self.predictor.items)

    def _taste_terms(self, taste: UserPosterior) -> UserTerms:
        found = self._kept_terms.get(taste)
        if found is None:
            found = self._kept_terms[taste] = UserTerms.of(taste, self._terms.learned)
        return found

    @cached_property
    def _kept_terms(self) -> "WeakKeyDictionary[UserPosterior, UserTerms]":
        return WeakKeyDictionary()


def item_states(items: Items, counts: Tensor) -> Tensor:
    """Return what is kept of items, float32 [items, K + K(K + 1)/2 + 1]; counts [items] of responses."""
    size = items.means.shape[1]
    rows, columns = torch.triu_indices(size, size)
    return torch.cat([items.means, items.covariances[:, rows, columns], counts[:, None]], dim=1).float()


def shared_states(predictor: Predictor, users: int) -> dict[str, Tensor]:
    """Return what a predictor knows beside its items, by name; ``users`` of them there were."""
    return {
        "shift": predictor.scale.shift,
        "scale": predictor.scale.scale,
        "population_mean": predictor.population.mean,
        "population_covariance": predictor.population.covariance,
        "spread": predictor.spread,
        "effects": predictor.effects.contiguous(),
        "users": torch.tensor([users]),
    }


def restored(
    shared: Mapping[str, Tensor], vectors: Tensor, states: Tensor, known: Tensor
) -> MixedEffectsModel:
    """Return the model over the items of ``vectors``; see `models.recommender.trainer.Trainer.restore`."""
    predictor = Predictor(
        scale=Standardisation(shared["shift"], shared["scale"]),
        items=Items(*(torch.empty(0, 0, dtype=torch.float64) for _ in range(3))),
        population=Prior(shared["population_mean"], shared["population_covariance"]),
        spread=shared["spread"],
        effects=shared["effects"],
    )
    size = len(predictor.spread)
    unseen = predictor.unseen(vectors)
    rows, columns = torch.triu_indices(size, size)
    means, covariances = unseen.means.clone(), unseen.covariances.clone()
    counts = torch.zeros(len(vectors), dtype=torch.float64)
    if bool(known.any()):  # else nothing says how wide a state is
        numbers = states[known].double()
        kept = numbers.new_zeros(len(numbers), size, size)
        kept[:, rows, columns] = kept[:, columns, rows] = numbers[:, size:-1]
        means[known], covariances[known], counts[known] = numbers[:, :size], kept, numbers[:, -1]
    chances = (counts + 1.0) / (float(shared["users"]) + 2.0)
    items = Items(unseen.constants, means, covariances)
    return MixedEffectsModel(
        Predictor(predictor.scale, items, predictor.population, predictor.spread, predictor.effects),
        vectors,
        chances,
    )


def rounded(items: Items) -> Items:
    """Return the items as they are after they were kept."""
    upper = items.covariances.triu().float().double()
    return Items(items.constants, items.means.float().double(), upper + upper.triu(1).mT)


def _kept(known: Normal) -> UserPosterior:
    turned = torch.linalg.cholesky(known.covariance.flip(0, 1))  # upper triangular when turned back
    return UserPosterior(known.mean.float(), turned.flip(0, 1).float())


def _gaussian(taste: UserPosterior) -> Normal:
    factor = _factor(taste).double()
    return Normal(taste.embedding.double(), factor @ factor.T)


def _factor(taste: UserPosterior) -> Tensor:
    if taste.factor is None:
        raise ValueError("a taste of this model has a factor")
    return taste.factor
