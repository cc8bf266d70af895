"""Predefined names: constants, dtypes and the prefixes `torch.` and `np.`.

Functions are in `operations.TABLE`.
"""

import math
from types import MappingProxyType

import torch

from models.notebook.tensor_language.runtime.values import Value
from models.notebook.tensor_language.syntax.program import Style

PREFIXES: MappingProxyType[str, Style] = MappingProxyType(
    {
        "torch": "torch",
        "torch.linalg": "torch",
        "torch.nn": "torch",
        "torch.nn.functional": "torch",
        "np": "numpy",
        "np.linalg": "numpy",
        "np.random": "numpy",
        "numpy": "numpy",
        "numpy.linalg": "numpy",
        "numpy.random": "numpy",
        "math": "plain",
    }
)
"""Prefixes of names, and whose rules a name with the prefix follows."""

OF_GRADIENTS = frozenset(
    {
        "autograd",
        "backward",
        "detach",
        "grad",
        "grad_fn",
        "no_grad",
        "requires_grad",
        "requires_grad_",
        "zero_grad",
    }
)
"""Names of torch's autograd, which the language lacks."""


def hint(name: str) -> str:
    """Return what to do instead of using a name of torch that the language lacks."""
    if name in OF_GRADIENTS:
        return ": a program keeps no gradients; POST /v1/compute/gradient differentiates an expression"
    return ""


RESERVED = frozenset(prefix.split(".", 1)[0] for prefix in PREFIXES)
"""Names that no variable can have."""

_NUMBERS: dict[str, Value] = {"pi": math.pi, "e": math.e, "inf": math.inf, "nan": math.nan}

_DTYPES: dict[str, Value] = {
    "float32": torch.float32,
    "float64": torch.float64,
    "int32": torch.int32,
    "int64": torch.int64,
}

_TORCH_DTYPES: dict[str, Value] = {
    "float": torch.float32,
    "double": torch.float64,
    "int": torch.int32,
    "long": torch.int64,
    "bool": torch.bool,
    "FloatTensor": torch.float32,
    "DoubleTensor": torch.float64,
    "IntTensor": torch.int32,
    "LongTensor": torch.int64,
    "BoolTensor": torch.bool,
}

# Python's own types, as NumPy and torch read them where a dtype is wanted.
_PYTHON_DTYPES: dict[str, Value] = {
    "float": torch.float64,
    "int": torch.int64,
    "bool": torch.bool,
    "bool_": torch.bool,
}

CONSTANTS: MappingProxyType[tuple[Style, str], Value] = MappingProxyType(
    {("torch", name): value for name, value in (_NUMBERS | _DTYPES | _TORCH_DTYPES).items()}
    | {("numpy", name): value for name, value in (_NUMBERS | _DTYPES | _PYTHON_DTYPES).items()}
    | {("plain", name): value for name, value in (_NUMBERS | _DTYPES | _PYTHON_DTYPES).items()}
)
"""Constants by the style of their prefix and their name."""
