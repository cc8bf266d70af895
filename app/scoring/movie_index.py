"""Indexes of movies: where there are so many that recommendations should not look at each.

A worker measures, before it publishes a training, how many candidates an index needs to find the best, and a
web process makes the index of what it restored, in a thread beside the requests. Until that is done, and
wherever an index does not do, every movie is looked at: right, and slower. Does not know users, nor the
database.
"""

import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import structlog
import torch
from torch import Tensor

from models.recommender import shortlist
from models.recommender.model import Model, UserPosterior
from models.recommender.scoring import Best
from models.recommender.shortlist import Recall, Shortlist
from models.recommender.trainer import Trainer, TrainingResult

log = structlog.get_logger()

_NO_FAISS = "FAISS is not installed: pip install 'likely[faiss]'"
_NO_MEASURE = "the training measured no index: the next one will"


class MovieIndex:
    """An index of a model's movies, which is there once ``ready`` is set; made step by step."""

    def __init__(self, training: int, model: Model, movies: int, candidates: int) -> None:
        self._training, self._model, self._movies = training, model, movies
        self._candidates = candidates
        self._began = time.monotonic()
        self._made: Shortlist | None = None
        self._steps: Iterator[int] = iter(())
        self.ready = threading.Event()

    def best(self, posterior: UserPosterior, limit: int, exclude: Tensor, min_logit: float) -> Best | None:
        """Return what `Shortlist.best` returns; None too while the index is being made."""
        if self._made is None or not self.ready.is_set():
            return None
        return self._made.best(posterior, limit, exclude, min_logit, self._candidates)

    def step(self) -> bool:
        """Do a part of the work, and return whether there is more."""
        if self._made is None:
            self._made = Shortlist(self._model, self._movies)
            self._steps = self._made.codes()
            return True
        if next(self._steps, None) is not None:
            return True
        self.ready.set()
        took = round(time.monotonic() - self._began, 1)
        log.info("index made", training=self._training, movies=self._movies, seconds=took)
        return False


class MovieIndexes:
    """Makes indexes of catalogs with more than so many movies, one at a time."""

    def __init__(self, more_than: int | None = None) -> None:
        self._more_than = more_than
        self._making = threading.Lock()

    def begin(
        self, training: int, model: Model, movies: int, metrics: Mapping[str, Any]
    ) -> MovieIndex | None:
        """Return an index that is being made, if the movies are many and the metrics say that one is good."""
        if self._more_than is None or movies <= self._more_than:
            return None
        figures = metrics.get("index")
        if figures is None or not shortlist.installed():
            reason = _NO_MEASURE if shortlist.installed() else _NO_FAISS
            log.warning("recommendations look at every movie", training=training, reason=reason)
            return None
        model.item_sides(torch.zeros(1, dtype=torch.int64))  # what a model makes of its items at first, once
        index = MovieIndex(training, model, movies, figures["candidates"])
        threading.Thread(
            target=self._finish, args=(weakref.ref(index),), name="movie index", daemon=True
        ).start()
        return index

    def _finish(self, index: "weakref.ref[MovieIndex]") -> None:
        """Make the index, as long as anybody holds it: when a movie changes, another takes its place."""
        with self._making:
            more = True
            while more:
                owner = index()
                try:
                    more = owner is not None and owner.step()
                except (MemoryError, RuntimeError) as error:  # FAISS raises the latter
                    log.warning("no index could be made", error=type(error).__name__)
                    return
                del owner


def measure_index(
    trainer: Trainer, vectors: Tensor, learned: TrainingResult, more_than: int, check: Callable[[], None]
) -> dict[str, Any]:
    """Return what a training's metrics say of an index of its movies; nothing where there is to be none.

    ``vectors`` [movies, dimensions] are those that it learned with. ``check`` is called again and again, and
    may raise to stop.
    """
    if len(vectors) <= more_than:
        return {}
    if not shortlist.installed():
        log.warning("no index is measured", movies=len(vectors), reason=_NO_FAISS)
        return {}
    has_state = torch.ones(len(vectors), dtype=torch.bool)
    try:
        model = trainer.restore(learned.shared, vectors, learned.items, has_state)
        recall = _measured(model, len(vectors), learned.posteriors, check)
    except (MemoryError, RuntimeError) as error:  # a training that is good without an index does not fail
        log.warning("no index could be made", error=type(error).__name__)
        return {}
    if recall is None:
        log.warning("no index is good enough", movies=len(vectors))
        return {}
    figures = {"candidates": recall.candidates, "recall_at_10": recall.recall, "users": recall.users}
    return {"index": {"movies": len(vectors), **figures}}


def _measured(
    model: Model, movies: int, posteriors: Sequence[UserPosterior], check: Callable[[], None]
) -> Recall | None:
    candidates = Shortlist(model, movies)
    for _ in candidates.codes():
        check()
    return shortlist.measure(candidates, model, posteriors, check)
