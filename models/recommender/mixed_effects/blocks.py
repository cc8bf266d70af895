"""Responses laid out for a pass over the users: users by number of responses, in blocks of padded batches.

A pass holds one block at a time, so that its memory does not grow with the responses. A batch is users with
about as many responses, a padded row each, so that nothing loops over users.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from models.recommender.data import Responses

_NUMBERS_PER_BATCH = 4_000_000  # float64, in the largest array of a batch
_RESPONSES_PER_BLOCK = 1_000_000  # unless a single batch has more


@dataclass(frozen=True)
class Pattern:
    """The positions of a sparse matrix's numbers: int32 offsets [rows + 1] and columns [numbers], as CSR."""

    offsets: Tensor
    columns: Tensor
    width: int

    def with_values(self, values: Tensor) -> Tensor:
        """Return the sparse matrix with these values [numbers]."""
        shape = (len(self.offsets) - 1, self.width)
        return torch.sparse_csr_tensor(self.offsets, self.columns, values, shape, check_invariants=False)


@dataclass(frozen=True)
class Batch:
    """Users with about as many responses: rows of the block's users, each padded to ``length`` responses.

    responses  of the block
    item_rows  int32 [n · length], 0 where padded
    positions  int64 [responses], of each in the flattened padded rows
    user_item  the responses as a sparse matrix, users × items
    """

    users: slice
    responses: slice
    length: int
    item_rows: Tensor
    positions: Tensor
    user_item: Pattern

    def padded(self, numbers: Tensor) -> Tensor:
        """Return the responses' numbers [responses] in padded rows [n, length], 0 where padded."""
        rows = numbers.new_zeros(len(self.item_rows))
        return rows.index_copy_(0, self.positions, numbers).view(-1, self.length)

    def unpadded(self, numbers: Tensor) -> Tensor:
        """Return the responses' numbers [responses, ...] of padded rows [n, length, ...]."""
        return numbers.flatten(0, 1).index_select(0, self.positions)


@dataclass(frozen=True)
class Block:
    """Users and responses, as slices of `BlockedResponses`, and the batches that they are in.

    user_item      users × items
    item_user      its transpose, whose numbers are the block's in ``order`` [responses]
    item_response  items × responses
    """

    users: slice
    responses: slice
    batches: list[Batch]
    user_item: Pattern
    item_user: Pattern
    order: Tensor
    item_response: Pattern


@dataclass(frozen=True)
class Layout:
    """Which users are in which block, as follows from their numbers of responses alone.

    order    int64 [users], by number of responses
    offsets  int64 [users + 1], of their responses in that order
    ends     where each batch ends, block by block, counted in that order
    """

    order: Tensor
    offsets: Tensor
    ends: list[list[int]]

    @classmethod
    def of(cls, counts: Tensor, size: int) -> "Layout":
        """Lay out users by their ``counts`` [users] of responses; ``size`` is P, an embedding's length."""
        order = torch.argsort(counts, stable=True)
        offsets = torch.cat([counts.new_zeros(1), counts[order].cumsum(0)])
        ends = list(_batch_ends(counts[order].tolist(), size))
        return cls(order, offsets, [ends[first : last + 1] for first, last in _block_batches(ends, offsets)])

    @property
    def blocks(self) -> list[slice]:
        """Each block's users in the order."""
        stops = [ends[-1] for ends in self.ends]
        return [slice(start, stop) for start, stop in zip([0, *stops[:-1]], stops, strict=True)]


@dataclass(frozen=True)
class BlockedResponses:
    """All responses in blocks: ``order`` [users] sorts users by number of responses; values float32."""

    order: Tensor
    values: Tensor
    blocks: list[Block]

    @classmethod
    def of(cls, responses: Responses, size: int) -> "BlockedResponses":
        """Lay the responses out in blocks; ``size`` is P, an embedding's length."""
        layout = Layout.of(responses.offsets.diff(), size)
        order, values, blocks = layout.order, torch.empty_like(responses.values), []
        for users, ends in zip(layout.blocks, layout.ends, strict=True):
            offsets = layout.offsets[users.start : users.stop + 1]
            columns = slice(int(offsets[0]), int(offsets[-1]))
            shifts = responses.offsets[order[users]] - offsets[:-1]
            source = torch.repeat_interleave(shifts, offsets.diff()) + torch.arange(
                columns.start, columns.stop
            )
            values[columns] = responses.values[source]
            pattern = Pattern(
                (offsets - columns.start).int(), responses.item_rows[source].int(), responses.items
            )
            blocks.append(_block(users, columns, pattern, [end - users.start for end in ends]))
        return cls(order, values, blocks)


def _batch_ends(lengths: list[int], size: int) -> Iterator[int]:
    """Yield where each batch of users ends, given the users' numbers of responses, ascending."""
    start = 0
    while start < len(lengths):
        longest = max(1.25 * lengths[start], lengths[start] + 4)
        stop = start + 1
        while (
            stop < len(lengths)
            and lengths[stop] <= longest
            and (stop + 1 - start) * size * max(lengths[stop], size) <= _NUMBERS_PER_BATCH
        ):
            stop += 1
        yield stop
        start = stop


def _block_batches(ends: list[int], offsets: Tensor) -> Iterator[tuple[int, int]]:
    """Yield the first and the last batch of each block, given the batches' ends."""
    first, start = 0, 0
    for number, end in enumerate(ends):
        is_last = number == len(ends) - 1
        if is_last or int(offsets[ends[number + 1]] - offsets[start]) > _RESPONSES_PER_BLOCK:
            yield first, number
            first, start = number + 1, end


def _block(users: slice, responses: slice, user_item: Pattern, ends: list[int]) -> Block:
    starts = [0, *ends[:-1]]
    batches = [_batch(slice(start, end), user_item) for start, end in zip(starts, ends, strict=True)]
    order = torch.argsort(user_item.columns, stable=True).int()
    counts = torch.bincount(user_item.columns, minlength=user_item.width)
    offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)]).int()
    rows = torch.repeat_interleave(user_item.offsets.diff().long()).int()
    item_user = Pattern(offsets, rows[order], len(user_item.offsets) - 1)
    return Block(users, responses, batches, user_item, item_user, order, Pattern(offsets, order, len(rows)))


def _batch(users: slice, user_item: Pattern) -> Batch:
    offsets = user_item.offsets[users.start : users.stop + 1]
    responses = slice(int(offsets[0]), int(offsets[-1]))
    offsets = offsets - offsets[0]
    counts = offsets.diff().long()
    length, columns = int(counts.max()), user_item.columns[responses]
    starts = torch.arange(len(counts)) * length - offsets[:-1]
    positions = torch.repeat_interleave(starts, counts) + torch.arange(len(columns))
    item_rows = columns.new_zeros(len(counts) * length).index_copy_(0, positions, columns)
    return Batch(users, responses, length, item_rows, positions, Pattern(offsets, columns, user_item.width))
