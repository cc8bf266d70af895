"""Scores of embeddings in the movies' own dimensions: z = e · x, as the class model has them.

Knows no uncertainty, and nothing of somebody who has answered nothing. Does not know how an embedding is
searched; its trainer does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from models.recommender import scoring
from models.recommender.class_model.objective import Objective
from models.recommender.model import Explanation, Prediction, UserPosterior, Weights, stacked
from models.recommender.scoring import Best

Relearn = Callable[[Tensor, Tensor, Tensor | None, float], Tensor]

_NO_CURVATURE = 1e-6
_PAIRS_AT_ONCE = 1000  # what is gathered of them stays in the cache


@dataclass(frozen=True)
class DotProduct:
    """The model of a trainer whose users' embeddings are multiplied with ``vectors`` float32 [items, D].

    ``search`` learns one embedding and ``objective`` is what it minimises; see
    `models.recommender.class_model.gradient_descent.GradientDescent.fold_in`. ``coupled`` as in
    `models.recommender.model.Model`.
    """

    vectors: Tensor
    search: Relearn
    objective: Objective
    coupled: bool
    uncertain: bool = False

    @cached_property
    def _largest_norm(self) -> float:
        norms = torch.linalg.vector_norm(self.vectors, dim=1, dtype=torch.float64)
        return float(norms.max()) if norms.numel() else 0.0

    def cold_start(self) -> UserPosterior | None:
        """Know nothing."""
        return None

    def fold_in(
        self, rows: Tensor, answers: Tensor, start: UserPosterior | None, others_squared_norm: float
    ) -> UserPosterior:
        """Search the minimum of the user's objective."""
        order = torch.argsort(rows)
        before = None if start is None else start.embedding
        return UserPosterior(
            self.search(self.vectors[rows[order]], answers[order], before, others_squared_norm)
        )

    def predict(self, posterior: UserPosterior, rows: Tensor) -> Prediction:
        """Multiply in float64."""
        return _certain(scoring.logits(posterior.embedding, self.vectors[rows]))

    def predict_pairs(self, posteriors: Sequence[UserPosterior], users: Tensor, rows: Tensor) -> Prediction:
        """Multiply pair by pair in float64."""
        embeddings = stacked(posteriors)[0].double()
        parts = zip(torch.split(users, _PAIRS_AT_ONCE), torch.split(rows, _PAIRS_AT_ONCE), strict=True)
        found = [
            scoring.logits(embeddings.index_select(0, some), self.vectors.index_select(0, theirs))
            for some, theirs in parts
        ]
        return _certain(torch.cat(found))

    def best(self, posterior: UserPosterior, limit: int, excluded: Tensor, min_logit: float) -> Best:
        """Find the best; see `models.recommender.scoring.best`."""
        return scoring.best(posterior.embedding, self.vectors, self._largest_norm, limit, excluded, min_logit)

    def best_among(self, posterior: UserPosterior, rows: Tensor, limit: int, min_logit: float) -> Best:
        """Multiply in float64."""
        return scoring.best_among(
            rows.numpy(),
            lambda some: scoring.logits(posterior.embedding, self.vectors[torch.from_numpy(some)]).numpy(),
            limit,
            min_logit,
        )

    def item_sides(self, rows: Tensor) -> Tensor:
        """Return the vectors: the product is the logit."""
        return self.vectors[rows]

    def user_side(self, posterior: UserPosterior) -> Tensor:
        """Return the embedding."""
        return posterior.embedding

    def show(self, posterior: UserPosterior) -> Weights:
        """Return the embedding as the weights that it is."""
        weights = posterior.embedding.double()
        return Weights(0.0, weights, weights[:0])

    def explain(self, posterior: UserPosterior, rows: Tensor) -> Explanation:
        """Say the sum e · x; nothing but the named dimensions contributes."""
        zeros = torch.zeros(len(rows), dtype=torch.float64)
        values = self.vectors[rows].double()
        return Explanation(zeros + 1.0, zeros, 0.0, posterior.embedding.double(), values, zeros)

    def influences(
        self,
        posterior: UserPosterior,
        rows: Tensor,
        answers: Tensor,
        targets: Tensor,
        others_squared_norm: float,
    ) -> Tensor:
        """Estimate by one Newton step from the objective without the answer: −H⁻¹∇loss of it.

        Source: Cook and Weisberg, Residuals and Influence in Regression, 1982.
        """
        vectors, embedding = self.vectors[rows].double(), posterior.embedding.double()
        answers = answers.double()
        whole = self.objective.for_one_user(embedding, vectors, answers, others_squared_norm)
        each = self.objective.slopes(vectors @ embedding, answers)[:, None] * vectors
        # Where the squared loss curves down there is no Newton step; these are candidates only.
        values, axes = torch.linalg.eigh(whole.hessian)
        moves = each @ (axes / values.abs().clamp(min=_NO_CURVATURE)) @ axes.T
        moved: Tensor = -(self.vectors[targets].double() @ moves.T)
        return moved

    def expected_information_gain(
        self,
        posterior: UserPosterior,  # noqa: ARG002 - the protocol's
    ) -> Tensor:
        """Know no uncertainty that could fall."""
        return torch.zeros(len(self.vectors), dtype=torch.float64)


def _certain(logits: Tensor) -> Prediction:
    return Prediction(logits, torch.zeros_like(logits))
