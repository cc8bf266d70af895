"""The class model's objective: a loss of responses plus a penalty of embeddings, with its derivatives.

With logits z_um = e_u · x_m and σ the sigmoid, the objective is Σ loss(z_um, r_um) + weight · penalty(E).

    loss     squared   (σ(z) − r)²
             logistic  −r·log σ(z) − (1 − r)·log(1 − σ(z)) = softplus(z) − r·z
    penalty  norm          ‖E‖_F, one norm over all users, not squared
             squared_norm  ‖E‖_F²

The objective is written twice: `Objective.value_and_gradient` is the fast path with the gradient derived by
hand, `Objective.reference` is the plain formula, for autograd to differentiate. Tests hold them together.
Source of the squared loss and the norm: the class notebook, section "Embedding layer".
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from models.recommender.class_model.newton import Curvature
from models.recommender.data import Responses

LossName = Literal["squared", "logistic"]
PenaltyName = Literal["norm", "squared_norm"]

# Rounds off the norm's kink at zero for the second-order solver; far below the embeddings' float32 digits.
_KINK = 1e-12


class Evaluation(NamedTuple):
    """The objective at one point: two numbers, and the gradient in the shape of the point."""

    data_loss: float
    penalty: float
    gradient: Tensor


@dataclass(frozen=True)
class Objective:
    """A choice of loss and penalty."""

    loss: LossName = "squared"
    penalty: PenaltyName = "norm"
    penalty_weight: float = 0.2

    def value_and_gradient(self, embeddings: Tensor, responses: Responses) -> Evaluation:
        """Evaluate the objective for all users at once, [users, dimensions], with the gradient by hand.

        The logits are a dense product sampled where there are responses; the gradient of the data loss is
        the sparse matrix of the losses' slopes times the items' vectors.
        """
        vectors = responses.item_vectors.to(embeddings.dtype)
        nowhere = responses.sparse(embeddings.new_zeros(responses.values.shape))
        logits = torch.sparse.sampled_addmm(nowhere, embeddings, vectors.T, beta=0.0).values()
        losses, slopes = self._losses(logits, responses.values.to(embeddings.dtype))
        gradient = responses.sparse(slopes) @ vectors
        norm = torch.linalg.vector_norm(embeddings)
        if self.penalty == "norm":
            penalty = self.penalty_weight * norm
            if norm > 0:  # at zero autograd takes the subgradient 0; so does this
                gradient.add_(embeddings, alpha=self.penalty_weight / float(norm))
        else:
            penalty = self.penalty_weight * norm**2
            gradient.add_(embeddings, alpha=2.0 * self.penalty_weight)
        return Evaluation(float(losses.sum(dtype=torch.float64)), float(penalty), gradient)

    def reference(self, embeddings: Tensor, responses: Responses) -> tuple[Tensor, Tensor]:
        """Return data loss and penalty as scalars that autograd can differentiate."""
        vectors = responses.item_vectors.to(embeddings.dtype)[responses.item_rows]
        answers = responses.values.to(embeddings.dtype)
        logits = (embeddings[responses.user_rows] * vectors).sum(dim=1)
        if self.loss == "squared":
            data_loss = torch.pow(torch.sigmoid(logits) - answers, 2).sum()
        else:
            data_loss = binary_cross_entropy_with_logits(logits, answers, reduction="sum")
        norm = torch.linalg.vector_norm(embeddings)
        return data_loss, self.penalty_weight * (norm if self.penalty == "norm" else norm**2)

    def for_one_user(
        self, embedding: Tensor, vectors: Tensor, answers: Tensor, others_squared_norm: float
    ) -> Curvature:
        """Evaluate the part that depends on one user's embedding, all other users held fixed.

        embedding [dimensions], vectors [responses, dimensions], answers [responses]; all float64. Under the
        un-squared norm the others enter by their squared norm C: penalty = weight · √(C + ‖e‖²).
        """
        logits = vectors @ embedding
        losses, slopes = self._losses(logits, answers)
        gradient = vectors.T @ slopes
        hessian = vectors.T @ (self._curvatures(logits, answers)[:, None] * vectors)
        identity = torch.eye(embedding.shape[0], dtype=embedding.dtype)
        squared_norm = float(embedding @ embedding) + others_squared_norm
        if self.penalty == "norm":
            norm = (squared_norm + _KINK) ** 0.5
            penalty = norm
            gradient = gradient + self.penalty_weight / norm * embedding
            outer = torch.outer(embedding, embedding) / norm**2
            hessian = hessian + self.penalty_weight / norm * (identity - outer)
        else:
            penalty = squared_norm
            gradient = gradient + 2.0 * self.penalty_weight * embedding
            hessian = hessian + 2.0 * self.penalty_weight * identity
        return Curvature(float(losses.sum()) + self.penalty_weight * penalty, gradient, hessian)

    def slopes(self, logits: Tensor, answers: Tensor) -> Tensor:
        """Return the derivative of each response's loss by its logit, both [responses]."""
        return self._losses(logits, answers)[1]

    def _losses(self, logits: Tensor, answers: Tensor) -> tuple[Tensor, Tensor]:
        """Return each response's loss and its derivative by the logit."""
        # By float64, because the last digit of a float32 sigmoid depends on how many threads share the work.
        scores = torch.sigmoid(logits.double()).to(logits.dtype)
        errors = scores - answers
        if self.loss == "squared":
            return errors**2, 2.0 * errors * scores * (1.0 - scores)
        return softplus(logits) - answers * logits, errors

    def _curvatures(self, logits: Tensor, answers: Tensor) -> Tensor:
        """Return each response's second derivative by the logit; negative where the loss is not convex."""
        scores = torch.sigmoid(logits)
        slope = scores * (1.0 - scores)
        if self.loss == "squared":
            return 2.0 * slope * (slope + (scores - answers) * (1.0 - 2.0 * scores))
        return slope
