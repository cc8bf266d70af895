"""The trained class model: z = e · x, embeddings in the movies' own dimensions.

It has no uncertainty and no prior, so it cannot score a cold-start user.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from models.recommender import scoring
from models.recommender.class_model.objective import Objective
from models.recommender.model import LogitTerms, Prediction, UserPosterior, Weights, stacked
from models.recommender.scoring import Best

FoldIn = Callable[[Tensor, Tensor, Tensor | None, float], Tensor]

_NO_CURVATURE = 1e-6
_PAIRS_AT_ONCE = 1000  # what is gathered of them stays in the cache


@dataclass(frozen=True)
class DotProduct:
    """The model over items of ``vectors`` float32 [items, D].

    ``search`` returns the embedding that minimises ``objective`` for one user; see
    `models.recommender.class_model.gradient_descent.GradientDescent.fold_in`. ``coupled`` as in
    `models.recommender.model.Model`.
    """

    vectors: Tensor
    search: FoldIn
    objective: Objective
    coupled: bool
    uncertain: bool = False

    @cached_property
    def _largest_norm(self) -> float:
        norms = torch.linalg.vector_norm(self.vectors, dim=1, dtype=torch.float64)
        return float(norms.max()) if norms.numel() else 0.0

    def cold_start(self) -> UserPosterior | None:
        return None

    def fold_in(
        self, rows: Tensor, answers: Tensor, start: UserPosterior | None, others_squared_norm: float
    ) -> UserPosterior:
        order = torch.argsort(rows)
        previous = None if start is None else start.embedding
        return UserPosterior(
            self.search(self.vectors[rows[order]], answers[order], previous, others_squared_norm)
        )

    def predict(self, posterior: UserPosterior, rows: Tensor) -> Prediction:
        return _certain(scoring.logits(posterior.embedding, self.vectors[rows]))

    def predict_pairs(self, posteriors: Sequence[UserPosterior], users: Tensor, rows: Tensor) -> Prediction:
        embeddings = stacked(posteriors)[0].double()
        parts = zip(torch.split(users, _PAIRS_AT_ONCE), torch.split(rows, _PAIRS_AT_ONCE), strict=True)
        logits = [
            scoring.logits(embeddings.index_select(0, user_part), self.vectors.index_select(0, row_part))
            for user_part, row_part in parts
        ]
        return _certain(torch.cat(logits))

    def best(self, posterior: UserPosterior, limit: int, exclude: Tensor, min_logit: float) -> Best:
        return scoring.best(posterior.embedding, self.vectors, self._largest_norm, limit, exclude, min_logit)

    def best_among(self, posterior: UserPosterior, rows: Tensor, limit: int, min_logit: float) -> Best:
        return scoring.best_among(
            rows.numpy(),
            lambda part: scoring.logits(posterior.embedding, self.vectors[torch.from_numpy(part)]).numpy(),
            limit,
            min_logit,
        )

    def item_sides(self, rows: Tensor) -> Tensor:
        """Return the vectors: their product with the embedding is the logit."""
        return self.vectors[rows]

    def user_side(self, posterior: UserPosterior) -> Tensor:
        return posterior.embedding

    def show(self, posterior: UserPosterior) -> Weights:
        weights = posterior.embedding.double()
        return Weights(0.0, weights, weights[:0])

    def explain(self, posterior: UserPosterior, rows: Tensor) -> LogitTerms:
        zeros = torch.zeros(len(rows), dtype=torch.float64)
        values = self.vectors[rows].double()
        return LogitTerms(zeros + 1.0, zeros, 0.0, posterior.embedding.double(), values, zeros)

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
        hessian = self.objective.for_one_user(embedding, vectors, answers, others_squared_norm).hessian
        gradients = self.objective.slopes(vectors @ embedding, answers)[:, None] * vectors
        # Where the squared loss is concave there is no Newton step; these are candidates only.
        values, axes = torch.linalg.eigh(hessian)
        steps = gradients @ (axes / values.abs().clamp(min=_NO_CURVATURE)) @ axes.T
        influences: Tensor = -(self.vectors[targets].double() @ steps.T)
        return influences

    def expected_information_gain(
        self,
        posterior: UserPosterior,  # noqa: ARG002 - the protocol's
    ) -> Tensor:
        return torch.zeros(len(self.vectors), dtype=torch.float64)


def _certain(logits: Tensor) -> Prediction:
    return Prediction(logits, torch.zeros_like(logits))
