"""The responses as a pass over the users takes them: users by number of responses, in blocks of batches.

A block is what a pass has in hand at once, so that its memory does not grow with the responses. A batch is
users with about as many responses, a padded line each, so that nothing loops over users. Does not know what
is computed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from models.recommender.data import Responses

_NUMBERS_AT_ONCE = 4_000_000  # float64, in the largest array of a batch
_RESPONSES_AT_ONCE = 1_000_000  # of a block, unless one batch has more


@dataclass(frozen=True)
class Batch:
    """Users with about as many responses: rows of the block's users, and a line of ``most`` responses each.

    responses  of the block
    item_rows  int32 [n · most], 0 where padded
    places     int64 [responses], where each stands in the flattened lines
    asked      the responses as a sparse matrix, users × items
    """

    users: slice
    responses: slice
    most: int
    item_rows: Tensor
    places: Tensor
    asked: "Pattern"

    def lined(self, numbers: Tensor) -> Tensor:
        """Return the numbers [responses] in their lines [n, most], 0 where padded."""
        lines = numbers.new_zeros(len(self.item_rows))
        return lines.index_copy_(0, self.places, numbers).view(-1, self.most)

    def unlined(self, numbers: Tensor) -> Tensor:
        """Return the numbers [n, most, ...] of the responses [responses, ...]."""
        return numbers.flatten(0, 1).index_select(0, self.places)


@dataclass(frozen=True)
class Pattern:
    """Where a sparse matrix has numbers: int32 offsets [rows + 1], columns [numbers], in compressed rows."""

    offsets: Tensor
    columns: Tensor
    width: int

    def holding(self, values: Tensor) -> Tensor:
        """Return the matrix that holds these values [numbers] there."""
        shape = (len(self.offsets) - 1, self.width)
        return torch.sparse_csr_tensor(self.offsets, self.columns, values, shape, check_invariants=False)


@dataclass(frozen=True)
class Block:
    """Users and responses, as slices of the `Cut`'s, and the batches that they are in.

    asked    users × items
    askers   items × users, its numbers at ``order`` [responses] of the block's
    answers  items × responses
    """

    users: slice
    responses: slice
    batches: list[Batch]
    asked: Pattern
    askers: Pattern
    order: Tensor
    answers: Pattern


@dataclass(frozen=True)
class Layout:
    """Which users are in which block, as follows from their numbers of responses alone.

    order    int64 [users], of their number of responses
    offsets  int64 [users + 1], of their responses in that order
    ends     where each batch ends, block by block, counted in that order
    """

    order: Tensor
    offsets: Tensor
    ends: list[list[int]]

    @classmethod
    def of(cls, counts: Tensor, size: int) -> "Layout":
        """Lay out users with so many responses [users]; ``size`` is P, the length of what is learned."""
        order = torch.argsort(counts, stable=True)
        offsets = torch.cat([counts.new_zeros(1), counts[order].cumsum(0)])
        ends = list(_ends(counts[order].tolist(), size))
        return cls(order, offsets, [ends[first : last + 1] for first, last in _runs(ends, offsets)])

    @property
    def blocks(self) -> list[slice]:
        """Where each block's users stand in the order."""
        stops = [ends[-1] for ends in self.ends]
        return [slice(start, stop) for start, stop in zip([0, *stops[:-1]], stops, strict=True)]


@dataclass(frozen=True)
class Cut:
    """All responses in blocks: users in ``order`` [users] of their number of responses, values float32."""

    order: Tensor
    values: Tensor
    blocks: list[Block]

    @classmethod
    def of(cls, responses: Responses, size: int) -> "Cut":
        """Cut the responses; ``size`` is P, the length of what is learned of a user."""
        layout = Layout.of(responses.offsets.diff(), size)
        order, offsets = layout.order, layout.offsets
        values, blocks = torch.empty_like(responses.values), []
        for users, ends in zip(layout.blocks, layout.ends, strict=True):
            own = offsets[users.start : users.stop + 1]
            there = slice(int(own[0]), int(own[-1]))
            shifts = responses.offsets[order[users]] - own[:-1]
            at = torch.repeat_interleave(shifts, own.diff()) + torch.arange(there.start, there.stop)
            values[there] = responses.values[at]
            pattern = Pattern((own - there.start).int(), responses.item_rows[at].int(), responses.items)
            blocks.append(_block(users, there, pattern, [end - users.start for end in ends]))
        return cls(order, values, blocks)


def _ends(lengths: list[int], size: int) -> Iterator[int]:
    """Yield where each batch of users ends, given the users' numbers of responses, ascending."""
    start = 0
    while start < len(lengths):
        longest = max(1.25 * lengths[start], lengths[start] + 4)
        stop = start + 1
        while (
            stop < len(lengths) and lengths[stop] <= longest and _fits(stop + 1 - start, lengths[stop], size)
        ):
            stop += 1
        yield stop
        start = stop


def _fits(users: int, most: int, size: int) -> bool:
    return users * size * max(most, size) <= _NUMBERS_AT_ONCE


def _runs(ends: list[int], offsets: Tensor) -> Iterator[tuple[int, int]]:
    """Yield the first and the last batch of each block, by the batches' ends."""
    first, start = 0, 0
    for number, end in enumerate(ends):
        last = number == len(ends) - 1
        if last or int(offsets[ends[number + 1]] - offsets[start]) > _RESPONSES_AT_ONCE:
            yield first, number
            first, start = number + 1, end


def _block(users: slice, responses: slice, asked: Pattern, ends: list[int]) -> Block:
    starts = [0, *ends[:-1]]
    batches = [_batch(slice(start, end), asked) for start, end in zip(starts, ends, strict=True)]
    order = torch.argsort(asked.columns, stable=True).int()
    counts = torch.bincount(asked.columns, minlength=asked.width)
    offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)]).int()
    rows = torch.repeat_interleave(asked.offsets.diff().long()).int()
    askers = Pattern(offsets, rows[order], len(asked.offsets) - 1)
    return Block(users, responses, batches, asked, askers, order, Pattern(offsets, order, len(rows)))


def _batch(users: slice, asked: Pattern) -> Batch:
    offsets = asked.offsets[users.start : users.stop + 1]
    responses = slice(int(offsets[0]), int(offsets[-1]))
    offsets = offsets - offsets[0]
    counts = offsets.diff().long()
    most, columns = int(counts.max()), asked.columns[responses]
    lines = torch.arange(len(counts)) * most - offsets[:-1]
    places = torch.repeat_interleave(lines, counts) + torch.arange(len(columns))
    item_rows = columns.new_zeros(len(counts) * most).index_copy_(0, places, columns)
    return Batch(users, responses, most, item_rows, places, Pattern(offsets, columns, asked.width))
