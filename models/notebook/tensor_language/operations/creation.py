"""Operations that make tensors: of lists, of one value, of a range, at random.

Floats become float32 as in torch, and float64 where the function is written with `np.`. Random numbers come
from the run's own generator: what torch draws after `torch.manual_seed(seed)`.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from models.notebook.tensor_language.operations.table import (
    Specification,
    broadcast_shape,
    like,
    operation,
    shaped,
)
from models.notebook.tensor_language.runtime.calls import Call
from models.notebook.tensor_language.runtime.errors import LimitError, OperationError
from models.notebook.tensor_language.runtime.limits import Shape
from models.notebook.tensor_language.runtime.values import Listing


def _float_dtype(call: Call) -> torch.dtype:
    return call.dtype() or call.machine.float_dtype(call.style)


def _full(call: Call) -> Tensor:
    number = call.number("fill_value")
    dtype = _float_dtype(call) if isinstance(number, float) else call.dtype()
    return torch.full(call.shape("size"), number, dtype=dtype)


def _ends(call: Call) -> tuple[int | float, int | float, int | float]:
    """Return start, end and step; one number alone is the end."""
    start, end = call.number("start"), call.arguments["end"]
    step = call.number("step")
    if end is None:
        return 0, start, step
    return start, call.number("end"), step


def _arange_extent(call: Call) -> Iterable[Shape]:
    start, end, step = _ends(call)
    if step == 0 or not all(map(math.isfinite, (start, end, step))):
        raise OperationError("arange takes finite numbers and a step that is not 0")
    length = (end - start) / step
    if length > call.machine.budget.limits.elements:  # a float of any size, perhaps infinite
        raise LimitError(f"arange has more than the {call.machine.budget.limits.elements:,} elements allowed")
    return ((max(math.ceil(length), 0),),)


def _arange(call: Call) -> Tensor:
    start, end, step = _ends(call)
    floats = any(isinstance(number, float) for number in (start, end, step))
    return torch.arange(start, end, step, dtype=_float_dtype(call) if floats else call.dtype())


def _range_ends(call: Call) -> range:
    first, second = call.whole("start"), call.arguments["end"]
    step = call.whole("step")
    if step == 0:
        raise OperationError("range takes a step that is not 0")
    return range(first) if second is None else range(first, call.whole("end"), step)


def _range_extent(call: Call) -> Iterable[Shape]:
    ends = _range_ends(call)
    # len() does not take lengths above a machine word, so the length is computed here.
    return ((max(-((ends.start - ends.stop) // ends.step), 0),),)


def _steps(call: Call) -> int:
    """Return how many numbers; 50 in NumPy by default."""
    if call.given("steps"):
        return call.whole("steps")
    return 50 if call.style == "numpy" else 100


def _linspace(call: Call) -> Tensor:
    return torch.linspace(call.number("start"), call.number("end"), _steps(call), dtype=_float_dtype(call))


def _eye_size(call: Call) -> tuple[int, int]:
    rows = call.whole("n")
    return rows, call.whole("m") if call.given("m") else rows


def _eye(call: Call) -> Tensor:
    rows, columns = _eye_size(call)
    return torch.eye(rows, columns, dtype=_float_dtype(call))


def _randint_size(call: Call) -> tuple[tuple[int, ...], int, int]:
    """Return size, low and high: `randint(10, (3, 2))` has no low, and NumPy's may have no size."""
    low, high, size = call.whole("low"), call.arguments["high"], call.arguments["size"]
    if isinstance(high, Listing) and size is None:
        return call.shape("high"), 0, low
    if size is None and call.style == "torch":
        raise OperationError("randint lacks size, as in torch.randint(0, 10, (3, 2))")
    shape = () if size is None else call.shape("size")
    return (shape, 0, low) if high is None else (shape, low, call.whole("high"))


def _randint(call: Call) -> Tensor:
    shape, low, high = _randint_size(call)
    if low >= high:
        raise OperationError(f"randint takes low below high, not {low} and {high}")
    return torch.randint(
        low, high, shape, generator=call.machine.generator, dtype=call.dtype() or torch.int64
    )


def _normal_extent(call: Call) -> Iterable[Shape]:
    if call.given("size"):
        return (call.shape("size"),)
    return (broadcast_shape(call.extent("mean"), call.extent("std")),)


def _random_dtype(call: Call) -> torch.dtype:
    """Return the dtype to draw in: from the same seed torch draws other float64 numbers than float32 ones.

    So a program that runs again in float64, to check its gradients, gets the same numbers.
    """
    return call.dtype() or (torch.float64 if call.style == "numpy" else torch.float32)


def _normal(call: Call) -> Tensor:
    generator = call.machine.generator
    spread = call.arguments["std"]
    if not isinstance(spread, Tensor) and call.number("std") < 0:
        raise OperationError("normal takes a standard deviation of 0 or more")
    if call.given("size"):
        numbers = torch.empty(call.shape("size"), dtype=_random_dtype(call))
        numbers.normal_(float(call.number("mean")), float(call.number("std")), generator=generator)
        return numbers.to(_float_dtype(call))
    mean, std = (
        call.machine.tensor(call.arguments[name], None, call.style).to(_random_dtype(call))
        for name in ("mean", "std")
    )
    shape = broadcast_shape(mean.shape, std.shape)
    return torch.normal(mean.expand(shape), std.expand(shape), generator=generator).to(_float_dtype(call))


def _rand(call: Call) -> Tensor:
    numbers = torch.rand(call.shape("size"), generator=call.machine.generator, dtype=_random_dtype(call))
    return numbers.to(_float_dtype(call))


def _randn(call: Call) -> Tensor:
    numbers = torch.randn(call.shape("size"), generator=call.machine.generator, dtype=_random_dtype(call))
    return numbers.to(_float_dtype(call))


_SIZE = "*size|shape, dtype=None"

OPERATIONS: tuple[Specification, ...] = (
    operation(
        "tensor",
        "data, dtype=None, requires_grad=False",
        "tensor of a list; floats become float32, integers int64. requires_grad changes nothing here",
        "torch.tensor([i**2 for i in range(10)])",
        like("data"),
        lambda call: call.machine.tensor(call.arguments["data"], call.dtype(), call.style),
    ),
    operation(
        "array",
        "data|object, dtype=None",
        "tensor of a list by NumPy's rules: floats become float64",
        "np.array([[1.0, 2.0], [3.0, 4.0]])",
        like("data"),
        lambda call: call.machine.tensor(call.arguments["data"], call.dtype(), "numpy"),
    ),
    operation(
        "zeros",
        _SIZE,
        "all zeros",
        "torch.zeros((3, 4))",
        shaped("size"),
        lambda call: torch.zeros(call.shape("size"), dtype=_float_dtype(call)),
    ),
    operation(
        "ones",
        _SIZE,
        "all ones",
        "torch.ones(2, 3)",
        shaped("size"),
        lambda call: torch.ones(call.shape("size"), dtype=_float_dtype(call)),
    ),
    operation(
        "full",
        "size|shape, fill_value, dtype=None",
        "all one number",
        "torch.full((3, 4), 7.0)",
        shaped("size"),
        _full,
    ),
    operation(
        "arange",
        "start, end|stop=None, step=1, dtype=None",
        "numbers from start up to end, without it",
        "torch.arange(25).reshape(5, 5)",
        _arange_extent,
        _arange,
    ),
    operation(
        "range",
        "start, end=None, step=1",
        "integers for a list comprehension or a list",
        "[i**2 - i for i in range(9)]",
        _range_extent,
        lambda call: Listing(_range_ends(call)),
    ),
    operation(
        "linspace",
        "start, end|stop, steps|num=None, dtype=None",
        "so many numbers at equal distances, both ends among them; 100 if nothing says, np.linspace 50",
        "torch.linspace(0, 1, 5)",
        lambda call: ((_steps(call),),),
        _linspace,
    ),
    operation(
        "eye",
        "n, m=None, dtype=None",
        "ones on the diagonal, zeros elsewhere",
        "eye(3)",
        lambda call: (_eye_size(call),),
        _eye,
    ),
    operation(
        "randint",
        "low, high=None, size=None, dtype=None",
        "random integers from low up to high, without it",
        "torch.randint(low=0, high=10, size=(3, 2))",
        lambda call: (_randint_size(call)[0],),
        _randint,
    ),
    operation(
        "normal",
        "mean|loc=0.0, std|scale=1.0, size=None, dtype=None",
        "random numbers from the normal distribution",
        "torch.normal(mean=0, std=10, size=(3, 2))",
        _normal_extent,
        _normal,
    ),
    operation("rand", _SIZE, "random numbers between 0 and 1", "torch.rand(3, 2)", shaped("size"), _rand),
    operation("randn", _SIZE, "random numbers from N(0, 1)", "torch.randn(3, 2)", shaped("size"), _randn),
)
"""Tensors, and ranges of integers for comprehensions."""
