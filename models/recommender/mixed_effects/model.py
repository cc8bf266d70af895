"""The trained mixed-effects model: what is stored of it, and what it answers.

Stored of an item are its w_m = [b_m, q_m] with its covariance and its number of responses, float32; of a user
the mean of e_u and a factor of its covariance, float32. Everything is computed from these in float64.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from models.recommender.model import LogitTerms, Prediction, UserPosterior, Weights
from models.recommender.scoring import Best, best_among, best_of, scores

_NUMBERS_AT_ONCE = 4_000_000  # float64, in the largest array
_TINY = 1e-300  # so that without uncertainty there is no information to gain


@dataclass(frozen=True)
class MixedEffectsModel:
    """A training's predictor over the items of ``vectors`` float32 [items, D], as callers know them.

    ``response_rates`` [items]: how likely a user is to respond to the item, from how many did.
    """

    predictor: Predictor
    vectors: Tensor
    response_rates: Tensor

    @property
    def uncertain(self) -> bool:
        return True

    @property
    def coupled(self) -> bool:
        return False

    def cold_start(self) -> UserPosterior:
        return _as_stored(self.predictor.cold_start())

    def fold_in(
        self,
        rows: Tensor,
        answers: Tensor,
        start: UserPosterior | None,
        others_squared_norm: float = 0.0,  # noqa: ARG002 - users do not depend on each other, the items held
    ) -> UserPosterior:
        if len(rows) == 0:
            return self.cold_start()
        return _as_stored(self.predictor.fold_in(rows, answers, None if start is None else _normal(start)))

    def predict(self, posterior: UserPosterior, rows: Tensor) -> Prediction:
        if len(rows) > FEW:
            return self.predictor.predict(_normal(posterior), self.predictor.items.gather(rows))
        return self._item_terms.predict(self._user_terms(posterior), rows)

    def predict_pairs(self, posteriors: Sequence[UserPosterior], users: Tensor, rows: Tensor) -> Prediction:
        return self._item_terms.predict_pairs(posteriors, users, rows)

    def best(self, posterior: UserPosterior, limit: int, exclude: Tensor, min_logit: float) -> Best:
        """Find the best by float32 bounds of all items' logits."""
        user = self._user_terms(posterior)
        return best_of(
            self._item_terms.bounds(user),
            lambda rows: self._item_terms.logits(user, rows),
            limit,
            exclude.numpy(),
            min_logit,
        )

    def best_among(self, posterior: UserPosterior, rows: Tensor, limit: int, min_logit: float) -> Best:
        user = self._user_terms(posterior)
        return best_among(rows.numpy(), lambda part: self._item_terms.logits(user, part), limit, min_logit)

    def item_sides(self, rows: Tensor) -> Tensor:
        """Return κ·[φ, b]; κ is the cold-start user's, since an index does not know who asks."""
        return self._item_terms.sides(self._user_terms(self._population), rows)

    def user_side(self, posterior: UserPosterior) -> Tensor:
        """Return [m, 1]."""
        return self._user_terms(posterior).mean

    def show(self, posterior: UserPosterior) -> Weights:
        """Return e_u, its named part on the scale of the callers' vectors: e_d·(x_d − c_d)/s_d."""
        embedding, named_size = posterior.embedding.double(), self.predictor.items.named_size
        scale = self.predictor.scale
        weights = embedding[1:named_size] / scale.scale
        return Weights(float(embedding[0] - weights @ scale.shift), weights, embedding[named_size:])

    def explain(self, posterior: UserPosterior, rows: Tensor) -> LogitTerms:
        """Return the terms of κ·(b + user bias + Σ weight_d·x_d + e_q·q)."""
        items, weights = self.predictor.items.gather(rows), self.show(posterior)
        return LogitTerms(
            damping=self.predict(posterior, rows).damping,
            item_biases=items.means[:, 0],
            user_bias=weights.user_bias,
            weights=weights.weights,
            values=self.predictor.scale.bounded(self.vectors[rows]),
            learned=items.means[:, 1:] @ weights.learned,
        )

    def influences(
        self,
        posterior: UserPosterior,
        rows: Tensor,
        answers: Tensor,
        targets: Tensor,
        others_squared_norm: float = 0.0,  # noqa: ARG002 - as in `fold_in`
    ) -> Tensor:
        """Take each answer's term out of the posterior's precision, the other answers' weights held."""
        items, user = self.predictor.items.gather(rows), _normal(posterior)
        precision = torch.linalg.inv(user.covariance)
        prediction = self.predict(posterior, rows)
        weights, pseudo_targets, _ = expectations(answers.double(), prediction.mean, prediction.variance)
        features, named_size = items.features, items.named_size
        slopes = (pseudo_targets - weights * items.means[:, 0])[:, None] * features
        slopes[:, named_size:] -= weights[:, None] * items.covariances[:, 0, 1:]
        influences = torch.empty(len(targets), len(rows), dtype=torch.float64)
        target_features = self.predictor.items.gather(targets).features
        for part in torch.split(torch.arange(len(rows)), max(1, _NUMBERS_AT_ONCE // precision.numel())):
            second_moments = features[part, :, None] * features[part, None, :]
            second_moments[:, named_size:, named_size:] += items.covariances[part, 1:, 1:]
            precisions = precision - weights[part, None, None] * second_moments
            means = torch.linalg.solve(precisions, precision @ user.mean - slopes[part])
            influences[:, part] = target_features @ (user.mean - means).T
        return influences

    def expected_information_gain(self, posterior: UserPosterior) -> Tensor:
        """Expect of each item's response which share of the scores' variances it would remove.

        A response adds 1/(1/w + v) to the precision along φ, where v is the item's own part of var z, and so
        removes (φᵀCφₒ)² / (1/w + v + φᵀCφ) from var z of an item φₒ. A score changes by σ(1 − σ) times z.
        Each item counts by how likely the user is to respond to it.
        """
        items, user = self.predictor.items, _normal(posterior)
        prediction = self.predictor.predict(user, items)
        probabilities = scores(prediction.logits)
        features = items.features
        squared_slopes = (probabilities * (1.0 - probabilities)).square()
        projections = features @ user.covariance
        user_variances = (projections * features).sum(-1)
        noise = 1.0 / logistic_moments(prediction.mean, prediction.variance).slope
        noise = noise + prediction.variance - user_variances
        second_moment = features.T @ (squared_slopes[:, None] * features)
        total_variance = (squared_slopes * user_variances).sum().clamp(min=_TINY)
        reductions = ((projections @ second_moment) * projections).sum(-1)
        return self.response_rates * reductions / (noise + user_variances) / total_variance

    @cached_property
    def _population(self) -> UserPosterior:
        return self.cold_start()

    @cached_property
    def _item_terms(self) -> ItemTerms:
        return ItemTerms.of(self.predictor.items)

    def _user_terms(self, posterior: UserPosterior) -> UserTerms:
        terms = self._cached_user_terms.get(posterior)
        if terms is None:
            terms = UserTerms.of(posterior, self._item_terms.learned_size)
            self._cached_user_terms[posterior] = terms
        return terms

    @cached_property
    def _cached_user_terms(self) -> "WeakKeyDictionary[UserPosterior, UserTerms]":
        return WeakKeyDictionary()


def item_states(items: Items, counts: Tensor) -> Tensor:
    """Return what is stored of items, float32 [items, K + K(K + 1)/2 + 1]; counts [items] of responses."""
    size = items.means.shape[1]
    rows, columns = torch.triu_indices(size, size)
    return torch.cat([items.means, items.covariances[:, rows, columns], counts[:, None]], dim=1).float()


def shared_states(predictor: Predictor, users: int) -> dict[str, Tensor]:
    """Return a predictor's parameters but for its items', by name; ``users`` is how many there were."""
    return {
        "shift": predictor.scale.shift,
        "scale": predictor.scale.scale,
        "population_mean": predictor.population.mean,
        "population_covariance": predictor.population.covariance,
        "spread": predictor.item_covariance,
        "effects": predictor.effects.contiguous(),
        "users": torch.tensor([users]),
    }


def restored(
    parameters: Mapping[str, Tensor], vectors: Tensor, states: Tensor, trained_items: Tensor
) -> MixedEffectsModel:
    """Return the model over the items of ``vectors``; see `models.recommender.trainer.Trainer.restore`."""
    predictor = Predictor(
        scale=Standardisation(parameters["shift"], parameters["scale"]),
        items=Items(*(torch.empty(0, 0, dtype=torch.float64) for _ in range(3))),
        population=Prior(parameters["population_mean"], parameters["population_covariance"]),
        item_covariance=parameters["spread"],
        effects=parameters["effects"],
    )
    size = len(predictor.item_covariance)
    prior_items = predictor.prior_items(vectors)
    rows, columns = torch.triu_indices(size, size)
    means, covariances = prior_items.means.clone(), prior_items.covariances.clone()
    counts = torch.zeros(len(vectors), dtype=torch.float64)
    if bool(trained_items.any()):  # else the states may have no columns
        numbers = states[trained_items].double()
        symmetric = numbers.new_zeros(len(numbers), size, size)
        symmetric[:, rows, columns] = symmetric[:, columns, rows] = numbers[:, size:-1]
        means[trained_items], covariances[trained_items] = numbers[:, :size], symmetric
        counts[trained_items] = numbers[:, -1]
    items = Items(prior_items.constants, means, covariances)
    response_rates = (counts + 1.0) / (float(parameters["users"]) + 2.0)
    return MixedEffectsModel(replace(predictor, items=items), vectors, response_rates)


def rounded(items: Items) -> Items:
    """Return the items as they are after they were stored."""
    upper = items.covariances.triu().float().double()
    return Items(items.constants, items.means.float().double(), upper + upper.triu(1).mT)


def _as_stored(posterior: Normal) -> UserPosterior:
    # Reversed, so that the Cholesky factor is upper triangular once it is reversed back.
    factor = torch.linalg.cholesky(posterior.covariance.flip(0, 1)).flip(0, 1)
    return UserPosterior(posterior.mean.float(), factor.float())


def _normal(posterior: UserPosterior) -> Normal:
    if posterior.factor is None:
        raise ValueError("a posterior of this model has a factor")
    factor = posterior.factor.double()
    return Normal(posterior.embedding.double(), factor @ factor.T)
