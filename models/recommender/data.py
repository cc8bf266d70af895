"""The data that trainers learn from: users' responses to items, and the items' vectors.

Users and items are rows of matrices.
"""

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

# torch warns once that its sparse CSR tensors may still change. Tests pin the two operations that are used
# here, and the requirements pin torch; there is nothing to be done about it.
warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")


# Below, an operation takes less time than threads on busy cores need to synchronise: with two, the class
# training took seventy times as long.
_WORTH_SEVERAL_THREADS = 200_000


class BadResponsesError(ValueError):
    """Nothing can be learned from these responses; the message says why."""


@dataclass(frozen=True)
class Responses:
    """A sparse matrix of responses, users × items, in compressed rows.

    item_vectors  float32 [items, dimensions]
    offsets       int64 [users + 1]: user u's responses stand at offsets[u] to offsets[u + 1]
    item_rows     int64 [responses], ascending within a user
    values        float32 [responses], each in [0, 1]
    """

    item_vectors: Tensor
    offsets: Tensor
    item_rows: Tensor
    values: Tensor

    @classmethod
    def from_triples(
        cls, item_vectors: Tensor, user_rows: Tensor, item_rows: Tensor, values: Tensor, users: int
    ) -> Self:
        """Build the matrix from a user row, an item row and a value per response, in any order.

        Raises `BadResponsesError` when there is nothing to learn from, when a number is not finite, a
        response lies outside [0, 1], a row lies outside its matrix, or a user answered an item twice.
        """
        _check(item_vectors, user_rows, item_rows, values, users)
        # One canonical order, so that the order of the arguments changes no bit of the result.
        cells = user_rows * item_vectors.shape[0] + item_rows
        cells, order = torch.sort(cells)
        if bool((cells[1:] == cells[:-1]).any()):
            raise BadResponsesError("a user answered the same item twice")
        counts = torch.bincount(user_rows, minlength=users)
        offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        return cls(item_vectors.float(), offsets, item_rows[order].contiguous(), values[order].float())

    @property
    def users(self) -> int:
        """How many users the matrix has."""
        return self.offsets.shape[0] - 1

    @property
    def items(self) -> int:
        """How many items the matrix has."""
        return self.item_vectors.shape[0]

    @property
    def dimensions(self) -> int:
        """How many numbers an item's vector has."""
        return self.item_vectors.shape[1]

    def to(self, device: torch.device) -> Self:
        """Return the same matrix on a device."""
        if self.values.device == device:
            return self
        return type(self)(
            *(part.to(device) for part in (self.item_vectors, self.offsets, self.item_rows, self.values))
        )

    def threads(self, limit: int) -> int:
        """Return how many torch threads, up to ``limit``, are worth synchronising after each operation."""
        return limit if self.values.shape[0] >= _WORTH_SEVERAL_THREADS else 1

    @cached_property
    def user_rows(self) -> Tensor:
        """The user of each response: int64 [responses]."""
        return torch.repeat_interleave(self.offsets.diff())

    def sparse(self, values: Tensor) -> Tensor:
        """Return the users × items matrix that holds ``values`` [responses] where the responses stand."""
        return torch.sparse_csr_tensor(
            self.offsets, self.item_rows, values, (self.users, self.items), check_invariants=False
        )


def _check(item_vectors: Tensor, user_rows: Tensor, item_rows: Tensor, values: Tensor, users: int) -> None:
    if not (user_rows.shape == item_rows.shape == values.shape and values.dim() == 1):
        raise BadResponsesError("each response needs one user row, one item row and one value")
    if item_vectors.dim() != 2:  # noqa: PLR2004 - a matrix has two sides
        raise BadResponsesError("the item vectors are no matrix of items × dimensions")
    if values.numel() == 0:
        raise BadResponsesError("there are no responses to learn from")
    if not bool(torch.isfinite(item_vectors.float()).all()):
        raise BadResponsesError("an item's vector holds a number that is not finite")
    if not bool(((values >= 0) & (values <= 1)).all()):
        raise BadResponsesError("a response lies outside 0 to 1")
    for rows, size, word in ((user_rows, users, "user"), (item_rows, item_vectors.shape[0], "item")):
        if int(rows.min()) < 0 or int(rows.max()) >= size:
            raise BadResponsesError(f"a response's {word} row lies outside 0 to {size - 1}")
