"""Which responses a training holds out, to be evaluated on.

They are chosen within each user, by time or at random, and every user keeps some to learn from. By time is
the stricter test: nothing is learned from a later response of the same user (but later responses of other
users are learned from).
"""

from typing import Literal, Self

import torch
from pydantic import ConfigDict, Field, JsonValue, model_validator
from torch import Tensor

from models.options import Options
from models.recommender.data import Responses

# So that 0.29 of 100 is 29, as it is written, although the nearest binary number to 0.29 lies below it.
_BINARY_ROUNDING = 1e-9


_A_NUMBER: JsonValue = {"type": "number"}
_NONE: JsonValue = {"type": "null"}


class Holdout(Options):
    """How much of each user's responses is held out, and which of them."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["fraction"], "properties": {"fraction": _A_NUMBER, "last_n": _NONE}},
                {"required": ["last_n"], "properties": {"last_n": _A_NUMBER, "fraction": _NONE}},
            ]
        },
    )

    fraction: float | None = Field(None, gt=0, le=0.9, description="share of each user's responses")
    last_n: int | None = Field(
        None, ge=1, le=1000, description="responses of each user, at most half of what the user has"
    )
    by: Literal["time", "seed"] = Field("time", description="each user's last, or random ones by the seed")

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if (self.fraction is None) == (self.last_n is None):
            raise ValueError("give exactly one of fraction and last_n")
        return self


def held_out(responses: Responses, timestamps: Tensor, holdout: Holdout, seed: int) -> Tensor:
    """Return which responses are held out: bool [responses], in the order of ``responses.values``.

    timestamps float64 [responses], in the same order. Of a user's n responses, ``fraction`` holds out
    ⌊fraction · n⌋, and ``last_n`` holds out min(last_n, ⌊n / 2⌋): at least half stay to learn from, because a
    user of few responses would otherwise be evaluated as a cold-start user. A single response always stays.
    By time these are the last; of two at the same time, the one of the higher item row counts as later.
    By seed they are drawn at random, whatever the times.

    Raises `ValueError` when the timestamps are not one a response, or one is not a number.
    """
    if timestamps.shape != responses.values.shape:
        raise ValueError("each response needs one timestamp")
    if bool(timestamps.isnan().any()):
        raise ValueError("a timestamp is not a number")
    # Random keys are drawn in the canonical order, by a separate generator.
    generator = torch.Generator().manual_seed(seed)
    keys = timestamps if holdout.by == "time" else torch.randperm(len(responses.values), generator=generator)
    counts = responses.offsets.diff()
    first_position = counts - _sizes(counts, holdout)
    return _positions(responses, keys) >= first_position[responses.user_rows]


def select(responses: Responses, mask: Tensor) -> Responses:
    """Return only the responses where ``mask`` [responses] is true; users and items keep their rows.

    Users may end up without a response, and so may everybody.
    """
    counts = torch.bincount(responses.user_rows[mask], minlength=responses.users)
    offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    return Responses(responses.item_vectors, offsets, responses.item_rows[mask], responses.values[mask])


def _sizes(counts: Tensor, holdout: Holdout) -> Tensor:
    """Return how many of each user's ``counts`` int64 [users] responses are held out: int64 [users]."""
    if holdout.fraction is not None:
        return (holdout.fraction * counts.double() + _BINARY_ROUNDING).floor().long()
    return (counts // 2).clamp(max=holdout.last_n)


def _positions(responses: Responses, keys: Tensor) -> Tensor:
    """Return each response's rank among its user's by ``keys`` [responses], from 0: int64 [responses]."""
    by_key = torch.argsort(keys, stable=True)  # equal keys stay in the order of item rows
    order = by_key[torch.argsort(responses.user_rows[by_key], stable=True)]
    # Sorted by user, a user's responses stand at the same offsets as before, only in another order.
    positions = torch.empty_like(order)
    positions[order] = torch.arange(order.shape[0]) - responses.offsets[responses.user_rows]
    return positions
