"""Every operation of the tensor language in every way that its line of the table allows, beside NumPy.

A form is the text of one call and what NumPy computes for it. Does not know how forms become a program.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Compute = Callable[[Any, Any, int], Any]
Operands = Literal["any", "leaf", "table", "matrix", "matrices", "vectors", "one", "none"]


@dataclass(frozen=True)
class Form:
    """One call: `{a}` and `{b}` are its operands, `{d}` a dimension of the first.

    operands   any        two expressions of any shape
               leaf       variables: of what jumps, such as `<`, which a last digit may turn
               table      the variable m, 2 x 3, for what jumps along dimensions
               matrix     an expression of shape k x 3
               matrices   k x 3 and 3 x k
               vectors    two of one length
               one        an expression of one element
               none       nothing
    """

    text: str
    compute: Compute
    operands: Operands = "any"


def _functions(name: str, arguments: str) -> tuple[str, ...]:
    return tuple(f"{prefix}{name}({arguments})" for prefix in ("", "torch.", "np."))


def _elementwise() -> Iterator[Form]:
    functions: dict[str, tuple[str, Callable[[Array], Array]]] = {
        "exp": ("tanh({a})", lambda a: np.exp(np.tanh(a))),
        "log": ("1.5 + abs({a})", lambda a: np.log(1.5 + np.abs(a))),
        "sqrt": ("abs({a}) + 1", lambda a: np.sqrt(np.abs(a) + 1)),
        "sin": ("{a}", np.sin),
        "cos": ("{a}", np.cos),
        "tan": ("tanh({a})", lambda a: np.tan(np.tanh(a))),
        "tanh": ("{a}", np.tanh),
        "sigmoid": ("{a}", lambda a: np.exp(-np.logaddexp(0, -a))),
        "relu": ("{a}", lambda a: np.maximum(a, 0)),
        "abs": ("{a}", np.abs),
        "clone": ("{a}", np.copy),
    }
    for name, (inside, compute) in functions.items():
        for text in (*_functions(name, inside), f"torch.{name}(input={inside})", f"({inside}).{name}()"):
            yield Form(text, _of_first(compute))
        if name != "clone":
            yield Form(
                f"{name}({inside.replace('{a}', '({a}).item()')})",
                _of_first(compute),
                "one",
            )
    for text in (*_functions("softmax", "{a}, {d}"), "({a}).softmax({d})", "softmax({a}, axis={d})"):
        yield Form(text, lambda a, _b, d: _softmax(a, d), "matrix")
    for text in (
        "torch.softmax(input={a}, dim={d}, dtype=torch.float64)",
        "softmax({a}, {d}, torch.float64)",
        "({a}).softmax({d}, torch.float64)",
    ):
        yield Form(text, lambda a, _b, d: _softmax(a, d), "matrix")
    for text in (*_functions("round", "{a}"), "({a}).round()", "round(input={a})"):
        yield Form(text, lambda a, _b, _d: np.round(a), "leaf")
    for text in ("round({a}, 1)", "({a}).round(1)", "torch.round({a}, decimals=1)"):
        yield Form(text, lambda a, _b, _d: np.round(a, 1), "leaf")


def _softmax(a: Array, d: int) -> Array:
    return np.exp(a - np.logaddexp.reduce(a, axis=d, keepdims=True))


def _of_first(compute: Callable[[Any], Any]) -> Compute:
    return lambda a, _b, _d: compute(a)


def _of_both(compute: Callable[[Any, Any], Any]) -> Compute:
    return lambda a, b, _d: compute(a, b)


def _of_number(compute: Callable[[Any], Any]) -> Compute:
    return lambda a, _b, _d: compute(a[0, 1])


def _of_two_numbers(compute: Callable[[Any, Any], Any]) -> Compute:
    return lambda a, _b, _d: compute(a[0, 1], a[1, 2])


def _operators() -> Iterator[Form]:
    smooth: dict[str, Callable[[Any, Any], Any]] = {"+": np.add, "-": np.subtract, "*": np.multiply}
    jumping: dict[str, Callable[[Any, Any], Any]] = {
        "//": np.floor_divide,
        "%": np.mod,
        "==": np.equal,
        "!=": np.not_equal,
        "<": np.less,
        "<=": np.less_equal,
        ">": np.greater,
        ">=": np.greater_equal,
    }
    groups: tuple[tuple[dict[str, Callable[[Any, Any], Any]], Operands], ...]
    groups = ((smooth, "any"), (jumping, "leaf"))
    for group, operands in groups:
        for symbol, compute in group.items():
            for first, second in (("{a}", "{b}"), ("{a}", "2"), ("0.75", "{b}")):
                yield Form(f"({first}) {symbol} ({second})", _two(compute, first, second), operands)
            yield Form(
                f"m[0, 1].item() {symbol} m[1, 2].item()",
                _of_two_numbers(compute),
                "table",
            )
    yield Form("({a}) / (2 + abs({b}))", lambda a, b, _d: a / (2 + np.abs(b)))
    yield Form("({a}) / 4", lambda a, _b, _d: a / 4)
    yield Form("1 / (2 + abs({b}))", lambda _a, b, _d: 1 / (2 + np.abs(b)))
    yield Form("({a}) ** 2", lambda a, _b, _d: a**2)
    yield Form("2 ** tanh({b})", lambda _a, b, _d: 2 ** np.tanh(b))
    yield Form("(1 + abs({a})) ** tanh({b})", lambda a, b, _d: (1 + np.abs(a)) ** np.tanh(b))
    yield Form("-({a})", lambda a, _b, _d: -a)
    yield Form("+({a})", lambda a, _b, _d: +a)
    yield Form("({a}) @ ({b})", lambda a, b, _d: a @ b, "matrices")
    yield Form("({a}) @ ({b})", lambda a, b, _d: a @ b, "vectors")
    yield from _products()


def _two(compute: Callable[[Any, Any], Any], first: str, second: str) -> Compute:
    def computed(a: Array, b: Array, _d: int) -> object:
        return compute(a if first == "{a}" else float(first), b if second == "{b}" else float(second))

    return computed


def _products() -> Iterator[Form]:
    for text in (*_functions("matmul", "{a}, {b}"), "torch.matmul(input={a}, other={b})"):
        yield Form(text, lambda a, b, _d: a @ b, "matrices")
    yield Form("({a}).matmul({b})", lambda a, b, _d: a @ b, "matrices")
    for text in (*_functions("dot", "{a}, {b}"), "torch.dot(input={a}, other={b})", "({a}).dot({b})"):
        yield Form(text, lambda a, b, _d: a @ b, "vectors")
    yield Form("np.dot({a}, {b})", lambda a, b, _d: a @ b, "matrices")
    for text in (*_functions("pow", "{a}, 3"), "torch.pow(input={a}, exponent=3)", "({a}).pow(3)"):
        yield Form(text, lambda a, _b, _d: a**3)


def _reductions() -> Iterator[Form]:
    for name, compute in (("sum", np.sum), ("mean", np.mean)):
        for arguments, keep, along in _places(("{d}", "True", "torch.float64")):
            yield from _called(name, arguments, _reduced(compute, keep=keep, along=along))
        for arguments, keep in (
            ("dim={d}", False),
            ("axis={d}, keepdims=True", True),
            ("dim=({d},), keepdim=True, dtype=torch.float64", True),
        ):
            yield from _called(name, arguments, _reduced(compute, keep=keep, along=True))
        yield Form(f"{name}(input={{a}})", _reduced(compute, keep=False, along=False), "matrix")
        yield from _called(name, "axis=(0, 1)", _reduced(compute, keep=False, along=False))
    yield Form("sum([1, 2.5, -3])", lambda _a, _b, _d: 0.5, "none")
    for name, spread in (("std", np.std), ("var", np.var)):
        yield from _spreads(name, spread)
    for name, position in (("argmax", np.argmax), ("argmin", np.argmin)):
        for arguments, keep, along in (
            ("", False, False),
            ("{d}", False, True),
            ("{d}, True", True, True),
            ("dim={d}, keepdim=True", True, True),
            ("axis={d}, keepdims=True", True, True),
        ):
            yield from _called(name, arguments, _reduced(position, keep=keep, along=along), "table")
        yield Form(f"{name}(input={{a}})", _reduced(position, keep=False, along=False), "table")
    yield from _norms()


def _places(names: tuple[str, ...]) -> Iterator[tuple[str, bool, bool]]:
    """Yield none, one, two … of the arguments, whether dimensions are kept, and whether there is one."""
    for count in range(len(names) + 1):
        yield ", ".join(names[:count]), count > 1, count > 0


def _called(name: str, arguments: str, compute: Compute, operands: Operands = "matrix") -> Iterator[Form]:
    inside = f"{{a}}, {arguments}" if arguments else "{a}"
    for text in (*_functions(name, inside), f"({{a}}).{name}({arguments})"):
        yield Form(text, compute, operands)


def _reduced(compute: Callable[..., Any], *, keep: bool, along: bool) -> Compute:
    return lambda a, _b, d: compute(a, axis=d if along else None, keepdims=keep)


def _spreads(name: str, compute: Callable[..., Any]) -> Iterator[Form]:
    def spread(ddof: int, *, keep: bool = False, along: bool = True) -> Compute:
        return lambda a, _b, _d: compute(a, axis=1 if along else None, ddof=ddof, keepdims=keep)

    for arguments, keep, along in (("", False, False), ("1", False, True), ("-1, keepdim=True", True, True)):
        inside = f"{{a}}, {arguments}" if arguments else "{a}"
        for text in (f"{name}({inside})", f"torch.{name}({inside})", f"({{a}}).{name}({arguments})"):
            yield Form(text, spread(1, keep=keep, along=along), "matrix")
        yield Form(f"np.{name}({inside})", spread(0, keep=keep, along=along), "matrix")
    for arguments, ddof, keep in (
        ("1, False", 0, False),
        ("1, None, 0", 0, False),
        ("1, None, 2, True", 2, True),
        ("dim=1, unbiased=True", 1, False),
        ("axis=1, correction=0, keepdims=True", 0, True),
        ("axis=1, ddof=2", 2, False),
    ):
        yield from _called(name, arguments, spread(ddof, keep=keep))
    yield Form(f"{name}(input={{a}})", spread(1, along=False), "matrix")


def _norms() -> Iterator[Form]:
    def norm(power: float, *, keep: bool = False, along: bool = True) -> Compute:
        def computed(a: Array, _b: Array, d: int) -> object:
            axis = d if along else None
            if np.isinf(power):
                return np.max(np.abs(a), axis=axis, keepdims=keep)
            return np.sum(np.abs(a) ** power, axis=axis, keepdims=keep) ** (1 / power)

        return computed

    for arguments, compute in (
        ("", norm(2, along=False)),
        ("1", norm(1, along=False)),
        ("inf", norm(np.inf, along=False)),
        ("2, {d}", norm(2)),
        ("1, {d}, True", norm(1, keep=True)),
        ("dim={d}, p=3", norm(3)),
        ("axis={d}, ord=1, keepdims=True", norm(1, keep=True)),
        ("dim={d}, keepdim=True", norm(2, keep=True)),
    ):
        yield from _called("norm", arguments, compute)
    yield Form("torch.linalg.norm(input={a})", norm(2, along=False), "matrix")


def _extremes() -> Iterator[Form]:
    for name, compute, two, position in (
        ("max", np.max, np.maximum, np.argmax),
        ("min", np.min, np.minimum, np.argmin),
    ):
        yield from _called(name, "", _reduced(compute, keep=False, along=False))
        yield Form(f"{name}(input={{a}})", _reduced(compute, keep=False, along=False), "matrix")
        for arguments, keep in (
            ("{d}", False),
            ("None, {d}", False),
            ("None, {d}, True", True),
            ("dim={d}, keepdim=True", True),
            ("axis={d}, keepdims=True", True),
        ):
            for form in _called(name, arguments, _reduced(compute, keep=keep, along=True)):
                numpy = form.text.startswith("np.")
                for part in ("",) if numpy else (".values", "[0]"):
                    yield Form(form.text + part, form.compute, "matrix")
                for part in () if numpy else (".indices", "[1]"):
                    yield Form(form.text + part, _reduced(position, keep=keep, along=True), "table")
        of_two = _of_both(two)
        for text in (*_functions(name, "{a}, {b}"), f"({{a}}).{name}({{b}})", f"{name}({{a}}, other={{b}})"):
            yield Form(text, of_two)
        yield Form(f"{name}(0.25, {{b}})", _two(two, "0.25", "{b}"))
        yield Form(f"{name}({{a}}.item(), {{b}}.item())", of_two, "one")
        yield Form(f"{name}([{{a}}.item(), {{b}}.item(), 0.5])", _of_three(two), "one")


def _of_three(two: Callable[[Any, Any], Any]) -> Compute:
    return lambda a, b, _d: two(two(a, b), 0.5)


def _shapes() -> Iterator[Form]:
    for arguments in ("-1", "3, -1", "(3, -1)", "1, 3, -1", "shape=(3, -1)"):
        shape = tuple(
            int(size) for size in arguments.removeprefix("shape=").strip("()").split(",") if size.strip()
        )
        yield from _called("reshape", arguments, _reshaped(shape))
    yield Form("reshape(input={a}, shape=(-1,))", lambda a, _b, _d: a.reshape(-1), "matrix")
    for arguments in ("0, 1", "dim0=0, dim1=-1"):
        yield from _called("transpose", arguments, lambda a, _b, _d: a.T)
    for text in (
        "np.transpose({a})",
        "np.transpose(input={a}, axes=(1, 0))",
        "np.transpose({a}, (1, 0))",
        "transpose({a})",
    ):
        yield Form(text, lambda a, _b, _d: a.T, "matrix")
    for text in (*_functions("len", "{a}"), "len(input={a})"):
        yield Form(text, lambda a, _b, _d: len(a), "matrix")
    yield Form("len([1, 2, 3])", lambda _a, _b, _d: 3, "none")
    yield Form("({a}).size()", lambda a, _b, _d: a.shape, "matrix")
    for text in ("({a}).size({d})", "({a}).size(dim={d})"):
        yield Form(text, lambda a, _b, d: a.shape[d], "matrix")
    yield Form("({a}).shape", lambda a, _b, _d: a.shape, "matrix")
    yield Form("({a}).T", lambda a, _b, _d: a.T)
    yield Form("({a}).ndim", lambda a, _b, _d: a.ndim)
    yield Form("arange(3).to(({a}).dtype) / 3", lambda _a, _b, _d: np.arange(3) / 3)
    for index, index_value in (("::2", np.s_[::2]), ("-1:", np.s_[-1:]), ("..., 0:1", np.s_[..., 0:1])):
        yield Form(f"({{a}})[{index}]", _part(index_value), "matrix")


def _reshaped(shape: tuple[int, ...]) -> Compute:
    return lambda a, _b, _d: a.reshape(shape)


def _part(index_value: Any) -> Compute:  # noqa: ANN401 - whatever NumPy indexes with
    return lambda a, _b, _d: a[index_value]


def _cast(kind: type) -> Compute:
    return lambda a, _b, _d: a.astype(kind)


def _conversions() -> Iterator[Form]:
    yield Form("({a}).item()", lambda a, _b, _d: a, "one")
    for text in (*_functions("float", "{a}"), "float(input={a})"):
        yield Form(text, lambda a, _b, _d: a, "one")
    kinds = (("float", np.float32), ("int", np.int32), ("bool", np.bool_), ("long", np.int64))
    for name, kind in (*kinds, ("double", np.float64)):
        yield Form(f"({{a}}).{name}()", _cast(kind), "leaf")
    for name, cut in (("int", np.trunc), ("bool", lambda a: a != 0)):
        for text in (*_functions(name, "m[0, 1]"), f"{name}(input=m[0, 1])"):
            yield Form(text, _of_number(cut), "table")
    for name in ("type", "to", "astype"):
        for dtype, kind in (("torch.float32", np.float32), ("torch.int64", np.int64)):
            yield Form(f"({{a}}).{name}({dtype})", _cast(kind), "leaf")
        yield Form(f"({{a}}).{name}(dtype=torch.float64)", lambda a, _b, _d: a, "leaf")
    yield Form("({a}).tolist()", lambda a, _b, _d: a)


# What is made of nothing: the text, and the same by NumPy.
_MADE: dict[str, Callable[[], Any]] = {
    "tensor([1.5, {n}])": lambda: [1.5, 3],
    "tensor([[1, 2], [3, {n}]], torch.float64)": lambda: [[1, 2], [3, 3]],
    "torch.tensor([0.1, 2], torch.float64, True)": lambda: [0.1, 2],
    "tensor(data=[0.1], dtype=torch.float64, requires_grad=False)": lambda: [0.1],
    "np.array([0.1, 0.2])": lambda: [0.1, 0.2],
    "array([1.9, -1.9], torch.int64)": lambda: np.array([1.9, -1.9], np.int64),
    "np.array(data=[1, 2])": lambda: [1, 2],
    "np.array(object=[0.1], dtype=float)": lambda: [0.1],
    "arange(5)": lambda: np.arange(5),
    "torch.arange(2, 5)": lambda: np.arange(2, 5),
    "np.arange(1, 2, 0.25)": lambda: np.arange(1, 2, 0.25),
    "arange(0, 1, 0.1, torch.float64)": lambda: np.arange(0, 1, 0.1),
    "arange(start=5, end=0, step=-2, dtype=torch.float64)": lambda: np.arange(5, 0, -2),
    "np.arange(1, stop=4)": lambda: np.arange(1, 4),
    "range(4)": lambda: np.arange(4),
    "range(2, 4)": lambda: np.arange(2, 4),
    "[i**2 for i in range(9, 0, -3)]": lambda: [81, 36, 9],
    "range(start=1, end=9, step=3)": lambda: [1, 4, 7],
    "np.linspace(0, 1)": lambda: np.linspace(0, 1),
    "np.linspace(0, 1, 7)": lambda: np.linspace(0, 1, 7),
    "torch.linspace(0, 1, 5)": lambda: np.linspace(0, 1, 5),
    "linspace(-1, 2, 7, torch.float64)": lambda: np.linspace(-1, 2, 7),
    "np.linspace(start=0, stop=2, num=4, dtype=float)": lambda: np.linspace(0, 2, 4),
    "torch.linspace(start=0, end=2, steps=4, dtype=torch.float64)": lambda: np.linspace(0, 2, 4),
    "eye(3)": lambda: np.eye(3),
    "np.eye(2, 3)": lambda: np.eye(2, 3),
    "torch.eye(3, 2, torch.int64)": lambda: np.eye(3, 2),
    "eye(n=2, m=1, dtype=torch.float64)": lambda: np.eye(2, 1),
    # Draws that can come out in one way only, and the shapes of the others.
    "np.random.randint(1)": lambda: 0,
    "np.random.randint(3, 4)": lambda: 3,
    "torch.randint(1, (2, 3))": lambda: np.zeros((2, 3)),
    "torch.randint(3, 4, (2, 3))": lambda: np.full((2, 3), 3),
    "randint(-1, 0, (2,), torch.float64)": lambda: [-1, -1],
    "torch.randint(low=5, high=6, size=(2, 2), dtype=torch.int64)": lambda: np.full((2, 2), 5),
    "normal() * 0": lambda: 0,
    "normal(2.0) * 0": lambda: 0,
    "normal(2.0, 0.0)": lambda: 2,
    "torch.normal(2.0, 0.0, (2, 3))": lambda: np.full((2, 3), 2.0),
    "torch.normal(0.5, 0.0, (2,), torch.float64)": lambda: [0.5, 0.5],
    "torch.normal(mean=arange(3).double(), std=0.0)": lambda: np.arange(3),
    "np.random.normal(loc=0.25, scale=0.0, size=(2, 1), dtype=float)": lambda: np.full((2, 1), 0.25),
}
_FILLED = {"zeros": "{}", "ones": "{}", "rand": "({} < 1)", "randn": "({} * 0 == 0)"}


def _creation() -> Iterator[Form]:
    for text, make in _MADE.items():
        yield Form(text.replace("{n}", "3"), _made(make), "none")
    for name, around in _FILLED.items():
        value = 0 if name == "zeros" else 1
        for size, shape in (("3", 3), ("2, 3", (2, 3)), ("1, 2, 3", (1, 2, 3)), ("(2, 3)", (2, 3))):
            for call in _functions(name, size):
                yield Form(around.format(call), _filled(shape, value), "none")
        for size in ("size=(2, 3)", "shape=(2, 3), dtype=torch.float64"):
            yield Form(around.format(f"{name}({size})"), _filled((2, 3), value), "none")
    for call in (
        *_functions("full", "(2, 3), 7.0"),
        "full((2, 3), 7, torch.float64)",
        "full(size=(2, 3), fill_value=7)",
        "full(shape=(2, 3), fill_value=7, dtype=torch.int64)",
    ):
        yield Form(call, _filled((2, 3), 7), "none")


def _made(make: Callable[[], Any]) -> Compute:
    return lambda _a, _b, _d: make()


def _filled(shape: int | tuple[int, ...], value: float) -> Compute:
    return lambda _a, _b, _d: np.full(shape, value)


FORMS: tuple[Form, ...] = (
    *_elementwise(),
    *_operators(),
    *_reductions(),
    *_extremes(),
    *_shapes(),
    *_conversions(),
    *_creation(),
)
"""Every way to write every operation."""
