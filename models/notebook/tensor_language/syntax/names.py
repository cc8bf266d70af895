"""The names that are there without being defined: constants, dtypes and the prefixes `torch.` and `np.`.

Does not know functions: those are in `operations.TABLE`. Knows which names of torch have no counterpart here.
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
"""What may stand before a name, and whose rules the name then follows."""

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
"""What torch keeps gradients with."""


def hint(name: str) -> str:
    """Return what to do instead where somebody looks for a name that is not there."""
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
