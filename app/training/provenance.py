"""Where a training's numbers come from: digests of what it saw and of what it learned, versions, threads.

Trainings with the same digests, options and seed gave the same bits, on the same machine with the same
versions. ``kept`` is no part of that and is not shown: it says which rows of the database the digests were
taken of, so that `app.operations.verification` knows which of them it can take again. Does not know how a
training runs.
"""

import hashlib
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

import safetensors.torch
from torch import Tensor

from app.database import vectors
from app.training.dataset import Seen
from models.recommender.trainer import TrainingResult

_LIBRARIES = ("likely", "torch", "numpy")


class LearnedDigest:
    """The SHA-256 of named arrays, each with its shape, whose rows come as they are kept."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, name: str, shape: tuple[int, ...], rows: Iterable[bytes]) -> None:
        """Take the next array; ``rows`` are its numbers, little-endian, in pieces."""
        self._digest.update(f"{name} {shape} ".encode())
        for part in rows:
            self._digest.update(part)

    def add_shared(self, tensors: Mapping[str, Tensor]) -> None:
        """Take what is neither a user's nor a movie's, by name."""
        for name, numbers in sorted(tensors.items()):
            array = numbers.contiguous().numpy()
            self.add(name, array.shape, [array.astype(array.dtype.newbyteorder("<")).tobytes()])

    def hexdigest(self) -> str:
        """Return the digest of what was taken."""
        return self._digest.hexdigest()


def describe(
    dataset: Seen, result: TrainingResult, threads: int, timestamps_digest: str | None
) -> dict[str, Any]:
    """Return the provenance of a training; digests are SHA-256 in hexadecimal.

    ``timestamps_digest`` is that of the timestamps, if it looked at them too.
    """
    timestamps = {} if timestamps_digest is None else {"timestamps": timestamps_digest}
    return {
        "vectors": dataset.vectors_digest,
        "responses": dataset.responses_digest,
        **timestamps,
        "learned": _digest(result),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}},
        "machine": platform.machine(),
        "threads": threads,
        "kept": {
            "users": dataset.users_digest,
            "movies": dataset.movies_digest,
            "movies_version": dataset.movies_version,
            "responses_by_user": True,  # digested by user; older trainings' responses were digested as one
            "state": digest_state(safetensors.torch.save(dict(result.shared))),
        },
    }


def digest_state(state: bytes) -> str:
    """Return the digest of a state as it is kept, which nothing changes afterwards."""
    return hashlib.sha256(state).hexdigest()


def _digest(result: TrainingResult) -> str:
    digest = LearnedDigest()
    factors = result.posteriors.factors
    for name, numbers in (("embeddings", result.embeddings), ("factors", factors), ("items", result.items)):
        if numbers is not None:
            digest.add(name, tuple(numbers.shape), [vectors.to_bytes(numbers.contiguous().numpy())])
    digest.add_shared(result.shared)
    return digest.hexdigest()
