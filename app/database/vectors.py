"""Vectors between their three forms: numbers in JSON, float32 arrays, little-endian bytes in the database.

Does not know whether a vector is a movie's or a user's.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]

# Far from the float32 range, so that products and sums of a few thousand of them stay finite.
LARGEST = 1e9


def to_bytes(numbers: npt.ArrayLike) -> bytes:
    """Return numbers as float32, little-endian."""
    return np.asarray(numbers, dtype="<f4").tobytes()


def from_bytes(data: bytes) -> Float32:
    """Return the read-only float32 array that `to_bytes` stored, of shape (dimensions,)."""
    return np.frombuffer(data, dtype="<f4")


def fault_in(data: object, size: int) -> str | None:
    """Return what is wrong with bytes that should be ``size`` finite numbers, None if nothing is."""
    if not isinstance(data, bytes):
        return "is missing"
    if len(data) != 4 * size:
        return f"has {len(data):,} bytes, not {4 * size:,}"
    return None if np.isfinite(from_bytes(data)).all() else "has numbers that are not finite"


def stack(blobs: Iterable[bytes], dimensions: int) -> Float32:
    """Return stored vectors as one writable array of shape (vectors, dimensions)."""
    buffer = bytearray()
    for blob in blobs:  # of a generator, one is there at a time
        buffer += blob
    rows = len(buffer) // (4 * dimensions) if dimensions else 0
    return np.frombuffer(buffer, dtype="<f4").reshape(rows, dimensions)


def to_numbers(array: Float32) -> list[float]:
    """Return the shortest decimals that stand for these float32 values.

    What a caller stored as 0.6 comes back as 0.6, not as 0.6000000238418579.
    """
    return [float(text) for text in array.astype(str)]
