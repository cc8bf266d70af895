"""Where a training's numbers come from: digests of what it saw and of what it learned, versions, threads.

Trainings with the same digests, options and seed gave the same bits, on the same machine with the same
versions. ``kept`` is no part of that and is not shown: it says which rows of the database the digests were
taken of, so that `app.verification` knows which of them it can take again. Does not know how a training runs.
"""

import hashlib
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

import safetensors.torch
from torch import Tensor

from app import vectors
from app.snapshots import Snapshot
from models.trainer import Learned

_LIBRARIES = ("likely", "torch", "numpy")


class LearnedDigest:
    """The SHA-256 of named arrays, each with its shape, whose rows come as they are kept."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, name: str, shape: tuple[int, ...], stored: Iterable[bytes]) -> None:
        """Take the next array; ``stored`` are its numbers, little-endian, in pieces."""
        self._digest.update(f"{name} {shape} ".encode())
        for part in stored:
            self._digest.update(part)

    def add_shared(self, shared: Mapping[str, Tensor]) -> None:
        """Take what is neither a user's nor a movie's, by name."""
        for name, numbers in sorted(shared.items()):
            array = numbers.contiguous().numpy()
            self.add(name, array.shape, [array.astype(array.dtype.newbyteorder("<")).tobytes()])

    def hexdigest(self) -> str:
        """Return the digest of what was taken."""
        return self._digest.hexdigest()


def describe(snapshot: Snapshot, learned: Learned, threads: int, *, timestamps: bool) -> dict[str, Any]:
    """Return the provenance of a training; digests are SHA-256 in hexadecimal.

    ``timestamps`` says whether it looked at them too.
    """
    seen = {"vectors": snapshot.vectors_digest, "responses": snapshot.responses_digest}
    if timestamps:
        seen["timestamps"] = snapshot.timestamps_digest
    return {
        **seen,
        "learned": _digest(learned),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}},
        "machine": platform.machine(),
        "threads": threads,
        "kept": {
            "users": snapshot.users_digest,
            "movies": snapshot.movies_digest,
            "movies_version": snapshot.movies_version,
            "state": digest_state(safetensors.torch.save(dict(learned.shared))),
        },
    }


def digest_state(state: bytes) -> str:
    """Return the digest of a state as it is kept, which nothing changes afterwards."""
    return hashlib.sha256(state).hexdigest()


def _digest(learned: Learned) -> str:
    digest = LearnedDigest()
    factors = learned.tastes.factors
    for name, numbers in (("embeddings", learned.embeddings), ("factors", factors), ("items", learned.items)):
        if numbers is not None:
            digest.add(name, tuple(numbers.shape), [vectors.to_bytes(numbers.contiguous().numpy())])
    digest.add_shared(learned.shared)
    return digest.hexdigest()
