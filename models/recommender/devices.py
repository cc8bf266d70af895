"""The device that a trainer computes on: the processor, or torch's first CUDA device."""

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
    """The machine does not have the device; the message names one that it has."""


def find_device(name: DeviceName) -> torch.device:
    """Return torch's device of this name; raises `MissingDeviceError` where this machine has none."""
    if name == "cuda" and not torch.cuda.is_available():
        raise MissingDeviceError(
            "this machine has no CUDA device, or its torch is built without: expected device cpu"
        )
    return torch.device(name)


def to_processor(value: Value) -> Value:
    """Return a dataclass with its tensors, at whatever depth, on the processor."""
    copy: Any = value
    if isinstance(copy, Tensor):
        copy = copy.cpu()
    elif is_dataclass(copy) and not isinstance(copy, type):
        copy = replace(
            copy, **{field.name: to_processor(getattr(copy, field.name)) for field in fields(copy)}
        )
    result: Value = copy
    return result
