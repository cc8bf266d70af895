"""Coordinate updates of `mixed_effects` as Ray's tasks, over ranges of users and of movies.

A range of users is read by a task and stays in the cluster, with the sites of its last update; what
is sent to and fro is the movies, and sums over users. A task that is lost is run again from the same objects.
Which tasks there are, and in which order their sums are added, follows from the responses alone, not from how
many processes or machines there are: so neither changes a bit of the result.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import cache
from itertools import chain, cycle, repeat
from typing import Any, NamedTuple

import numpy as np
import ray
import torch
from ray.exceptions import RayError, RayTaskError
from ray.util import register_serializer
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from torch import Tensor

from app.database.urls import open_database
from app.errors import Unavailable
from app.training.dataset import Seen
from app.training.outlines import Keys, Outline, RangeSummary, read_range, seen
from models.recommender.data import BadResponsesError
from models.recommender.mixed_effects import coordinate_updates
from models.recommender.mixed_effects.blocks import Block, BlockedResponses, Layout
from models.recommender.mixed_effects.coordinate_updates import (
    GlobalParameters,
    ItemPosteriors,
    Sites,
    Totals,
)
from models.recommender.mixed_effects.items import Items, ItemSums
from models.recommender.mixed_effects.priors import Prior
from models.recommender.mixed_effects.trainer import MixedEffects, result_of
from models.recommender.model import UserPosteriors
from models.recommender.trainer import Step, TrainingResult

_RETRIES = 5  # of a task whose process dies
_POLL_SECONDS = 0.2  # between checks whether the training is to stop

Check = Callable[[], None]


class _ChangedError(RuntimeError):
    """A range was read again and has changed."""


class Place(NamedTuple):
    """Where responses are: the database's address, and how long to wait for it."""

    url: str
    busy_seconds: float


class Range(NamedTuple):
    """A range of users: blocks, each one's answers float32 [responses], and its `RangeSummary.mark`."""

    blocks: Sequence[Block]
    answers: Sequence[Tensor]
    mark: str


def fit(
    trainer: MixedEffects,
    outline: Outline,
    place: Place,
    seed: int,
    report: Callable[[Step], None],
    check: Check,
) -> tuple[TrainingResult, Seen]:
    """Learn from all responses of a catalog, on the cluster that this process is connected to.

    ``check`` is called again and again and may raise to stop. Raises as
    `models.recommender.trainer.Trainer.fit`, and `Unavailable` when the cluster loses what it cannot compute
    again.
    """
    size = trainer.sizes(outline.movies.vectors.shape[1]).embedding
    with _worded():
        steps = OnCluster(outline, place, size, check)
        result = trainer.learn_by(steps, outline.movies.vectors, seed, report)
        return result_of(result, steps.found.answered), seen(outline, steps.found)


class OnCluster:
    """Coordinate updates by tasks; see `models.recommender.mixed_effects.coordinate_updates`."""

    def __init__(self, outline: Outline, place: Place, size: int, check: Check) -> None:
        _register()
        self._check = check
        layout = Layout.of(outline.counts, size)
        movies, users = (torch.tensor(keys).numpy() for keys in (outline.movies.keys, outline.users))
        movie_orders = [layout.order[block] for block in layout.blocks]
        movies_ref = ray.put(movies)
        keys = [ray.put(users[places.numpy()]) for places in movie_orders]
        # Held to the end: what was on a machine that is lost is computed again, from the reading on.
        self._held: list[Any] = [movies_ref, *keys]
        actors = [
            _start(_read, 3, place, user_range, movies_ref, size, scheduling_strategy=machine)
            for machine, user_range in zip(_machines(), keys, strict=False)
        ]
        self._ranges, self._known = [parts[0] for parts in actors], [parts[1] for parts in actors]
        versions = self._got([parts[2] for parts in actors])
        there = [number for number, parts in enumerate(versions) if parts is not None]
        if not there:
            raise BadResponsesError("there are no responses to learn from")
        self._ranges, self._known = (
            [parts[number] for number in there] for parts in (self._ranges, self._known)
        )
        self._marks = [versions[number].mark for number in there]
        together = RangeSummary.joined(
            [
                replace(versions[number], places=movie_orders[number][versions[number].places])
                for number in there
            ]
        )
        in_order = torch.argsort(together.places)
        self.found = together.ordered(in_order)
        self._rows = torch.argsort(in_order)  # of the users as they stand in the ranges
        self._sums: list[list[Any]] = []
        self._constants: Any = None

    def update_users(self, common: GlobalParameters) -> Totals:
        """Update all users once, and store the sums that the movies' update needs."""
        common_ref, parts = self._put(common), len(coordinate_updates.item_ranges(len(common.items.means)))
        results = [
            _start(_move_users, 2 + parts, user_range, mark, sites, self._constants, common_ref)
            for user_range, mark, sites in zip(self._ranges, self._marks, self._known, strict=True)
        ]
        totals: list[Totals] = self._got([part[1] for part in results])
        self._known = [part[0] for part in results]
        self._sums = [_added(part) for part in zip(*(part[2:] for part in results), strict=True)]
        return coordinate_updates.tree_sum(totals)

    def update_items(self, items: Items, prior: Prior) -> tuple[Items, float]:
        """Return all movies with new posteriors, and the sum of their covariances' log determinants."""
        ranges = coordinate_updates.item_ranges(len(items.means))
        results = [
            _move_items.remote(items.part(item_range), prior.part(item_range), *sums)
            for item_range, sums in zip(ranges, self._sums, strict=True)
        ]
        self._sums = []
        return coordinate_updates.join_items(items, self._got(results))

    def fold_in_users(self, common: GlobalParameters) -> UserPosteriors:
        """Return every user's posterior with the movies held where they are, by the users' rows."""
        common_ref = self._put(common)
        results = [
            _settle.remote(user_range, mark, sites, self._constants, common_ref)
            for user_range, mark, sites in zip(self._ranges, self._marks, self._known, strict=True)
        ]
        posteriors = chain.from_iterable(self._got(results))
        return coordinate_updates.in_row_order(self._rows, posteriors, common.items.features.shape[1])

    def _put(self, common: GlobalParameters) -> Any:  # noqa: ANN401 - a reference, of which Ray does not say to what
        """Give the cluster what changes of what users are held to."""
        if self._constants is None:
            self._constants = ray.put(common.items.constants)
        common_ref = ray.put((common.items.means, common.items.covariances, common.prior))
        if len(ray.nodes()) > 1:  # type: ignore[no-untyped-call]  # the library's
            self._held.append(common_ref)
        return common_ref

    def _got(self, references: Sequence[Any]) -> list[Any]:
        """Return what the tasks returned; raises what they raised, or `check`.

        Raises `Unavailable` where a machine was lost and its responses are no longer what they were when
        they were read: the training begins anew then.
        """
        waiting = list(references)
        while waiting:
            self._check()
            _, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=_POLL_SECONDS, fetch_local=False)
        try:
            got: list[Any] = ray.get(list(references))
        except RayTaskError as error:
            if isinstance(error.cause, _ChangedError):
                raise Unavailable(str(error.cause)) from None
            raise
        return got


@contextmanager
def _worded() -> Iterator[None]:
    """Raise the exception that a task raised, and a failure of the cluster as `Unavailable`."""
    try:
        yield
    except RayError as error:
        cause = error.cause if isinstance(error, RayTaskError) else error
        if not isinstance(cause, RayError):
            raise cause from None
        raise Unavailable(f"the Ray cluster cannot be used at present: {type(cause).__name__}") from error


def _machines() -> Iterator[Any]:
    """Yield the machine of each range: sixteen in a row on one, where their sums are added first."""
    nodes = [machine["NodeID"] for machine in ray.nodes() if machine["Alive"]]  # type: ignore[no-untyped-call]  # the library's
    for node in cycle(nodes):
        yield from repeat(NodeAffinitySchedulingStrategy(node, soft=True), coordinate_updates.FAN_IN)


def _added(sums: Sequence[Any]) -> list[Any]:
    """Return references to the ranges' sums, reduced as a tree until at most sixteen are left."""
    pending = list(sums)
    while len(pending) > coordinate_updates.FAN_IN:
        starts = range(0, len(pending), coordinate_updates.FAN_IN)
        pending = [_add.remote(*pending[start : start + coordinate_updates.FAN_IN]) for start in starts]
    return pending


def _start(
    task: Any,  # noqa: ANN401 - Ray's types know one result only
    returns: int,
    *arguments: object,
    **options: object,
) -> list[Any]:
    """Start a task that returns so many things; return references to them."""
    references: list[Any] = task.options(num_returns=returns, **options).remote(*arguments)
    return references


@ray.remote(max_retries=_RETRIES)
def _read(
    place: Place, users: Keys, movies: Keys, size: int
) -> tuple[Range, list[Sites], RangeSummary | None]:
    """Read a range's responses, and cut it into blocks."""
    _begin()
    with closing(open_database(place.url, place.busy_seconds)) as database, database.reading() as connection:
        read = read_range(connection, users, movies)
    if read is None:
        return Range([], [], ""), [], None
    responses, versions = read
    cut = BlockedResponses.of(responses, size)
    answers = [cut.values[block.responses] for block in cut.blocks]
    sites = [coordinate_updates.initial_sites(rows) for rows in answers]
    return Range(cut.blocks, answers, versions.mark), sites, versions.ordered(cut.order)


@ray.remote(max_retries=_RETRIES)
def _move_users(
    user_range: Range,
    mark: str,
    sites: list[Sites],
    constants: Tensor,
    common_ref: Any,  # noqa: ANN401 - as `_put` gives it
) -> tuple[Any, ...]:
    """Update a range's users; return what is known of its responses, totals, and sums by range of movies."""
    _begin(user_range, mark)
    common = _common(constants, common_ref)
    results = [
        coordinate_updates.update_users(block, answers, before, common)
        for block, answers, before in zip(user_range.blocks, user_range.answers, sites, strict=True)
    ]
    totals = coordinate_updates.tree_sum(part for _, part in results)
    sums = (totals.items.part(rows) for rows in coordinate_updates.item_ranges(len(constants)))
    return [part for part, _ in results], totals.totals, *sums


@ray.remote(max_retries=_RETRIES)
def _add(*sums: ItemSums) -> ItemSums:
    """Add up some ranges' sums for a range of movies."""
    _begin()
    return coordinate_updates.tree_sum(sums)


@ray.remote(max_retries=_RETRIES)
def _move_items(items: Items, prior: Prior, *sums: ItemSums) -> ItemPosteriors:
    """Update a range of movies."""
    _begin()
    return coordinate_updates.update_items(items, prior, coordinate_updates.tree_sum(sums))


@ray.remote(max_retries=_RETRIES)
def _settle(
    user_range: Range,
    mark: str,
    sites: list[Sites],
    constants: Tensor,
    common_ref: Any,  # noqa: ANN401 - as `_put` gives it
) -> list[UserPosteriors]:
    """Return the posteriors of a range's users with the movies held where they are."""
    _begin(user_range, mark)
    common = _common(constants, common_ref)
    return [
        coordinate_updates.fold_in_users(block, answers, before, common)
        for block, answers, before in zip(user_range.blocks, user_range.answers, sites, strict=True)
    ]


def _common(constants: Tensor, parts: tuple[Tensor, Tensor, Prior]) -> GlobalParameters:
    means, covariances, prior = parts
    return GlobalParameters(Items(constants, means, covariances), prior)


def _begin(user_range: Range | None = None, mark: str = "") -> None:
    """Prepare a task's process; raises `_ChangedError` where a range is not what was first read of it."""
    torch.set_num_threads(1)
    _register()
    if user_range is not None and user_range.mark != mark:
        raise _ChangedError("the Ray cluster lost responses that have changed since they were read")


@cache
def _register() -> None:
    """Let this process write tensors as plain arrays, which others read where they are, without a copy."""
    register_serializer(Tensor, serializer=Tensor.numpy, deserializer=_tensor)
    with warnings.catch_warnings(action="ignore"):  # torch says once that such arrays can only be read
        torch.from_numpy(np.frombuffer(b"\0", np.uint8))


def _tensor(array: Any) -> Tensor:  # noqa: ANN401 - an array
    return torch.from_numpy(array)
