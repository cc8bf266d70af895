"""Where a training's numbers come from: digests of what it saw and of what it learned, versions, threads.

Trainings with the same digests, options and seed gave the same bits, on the same machine with the same
versions. Does not know how a training runs.
"""

import hashlib
import platform
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import numpy as np
from torch import Tensor

from app.snapshots import Snapshot
from models.trainer import Learned

_LIBRARIES = ("likely", "torch", "numpy")


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
    }


def _digest(learned: Learned) -> str:
    digest = hashlib.sha256()
    for name, numbers in _tensors(learned):
        array = numbers.contiguous().numpy()
        digest.update(f"{name} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def _tensors(learned: Learned) -> Iterator[tuple[str, Tensor]]:
    yield "embeddings", learned.embeddings
    if learned.tastes.factors is not None:
        yield "factors", learned.tastes.factors
    yield "items", learned.items
    yield from sorted(learned.shared.items())
