"""Where trainers compute: the processor, or a CUDA device when one is asked for.

Does not know what is computed, nor which of a machine's CUDA devices is the best: torch takes its first.
"""

from dataclasses import fields, is_dataclass, replace
from typing import Any, Literal, TypeVar

import torch
from pydantic import Field
from torch import Tensor

DeviceName = Literal["cpu", "cuda"]

DEVICE: Any = Field("cpu", description="where to compute; cuda needs a GPU")
"""The field of trainers' options."""

Value = TypeVar("Value")


class MissingDeviceError(RuntimeError):
    """The device that was asked for is not here; the message says which there is."""


def find_device(name: DeviceName) -> torch.device:
    """Return torch's device of this name; raises `MissingDeviceError` where this machine has none."""
    if name == "cuda" and not torch.cuda.is_available():
        raise MissingDeviceError(
            "this machine has no CUDA device, or its torch is built without: expected device cpu"
        )
    return torch.device(name)


def brought_back(value: Value) -> Value:
    """Return a dataclass with its tensors, at whatever depth, on the processor."""
    found: Any = value
    if isinstance(found, Tensor):
        found = found.cpu()
    elif is_dataclass(found) and not isinstance(found, type):
        parts = {field.name: brought_back(getattr(found, field.name)) for field in fields(found)}
        found = replace(found, **parts)
    returned: Value = found
    return returned
