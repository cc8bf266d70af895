"""Generated programs of the tensor language beside what NumPy says, and hostile ones that must be refused.

A program is a tree of operations over float64 tensors. While its text is written, NumPy computes the same in
place: another implementation, and none of the language's code. Run as a program with a count:
`python -m tests.models.generated_programs 200000`.
"""

import argparse
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from models.gradient import Asked, differentiate
from models.tensor_language import LanguageError, Value, run, show

Array = NDArray[np.float64]

UNARY: dict[str, Callable[[Array], Array]] = {
    "sin({})": np.sin,
    "torch.cos({})": np.cos,
    "np.tanh({})": np.tanh,
    "({}).sigmoid()": lambda a: np.exp(-np.logaddexp(0, -a)),
    "relu({})": lambda a: np.maximum(a, 0),
    "torch.abs({})": np.abs,
    "exp(tanh({}))": lambda a: np.exp(np.tanh(a)),
    "log(1.5 + abs({}))": lambda a: np.log(1.5 + np.abs(a)),
    "sqrt(abs({}) + 1)": lambda a: np.sqrt(np.abs(a) + 1),
    "-({})": np.negative,
    "({}) ** 2": np.square,
    "pow({}, 3)": lambda a: a**3,
    "({}).T": np.transpose,
    "({}).reshape(-1)": lambda a: a.reshape(-1),
    "softmax({}, dim=-1)": lambda a: np.exp(a - np.logaddexp.reduce(a, axis=-1, keepdims=True)),
    "({})[::2]": lambda a: a[::2],
    "({})[-1:]": lambda a: a[-1:],
    "({})[..., 0:1]": lambda a: a[..., 0:1],
}
BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "({}) + ({})": np.add,
    "({}) - ({})": np.subtract,
    "({}) * ({})": np.multiply,
    "({}) / (2 + abs({}))": lambda a, b: a / (2 + np.abs(b)),
    "max({}, {})": np.maximum,
}
REDUCTIONS: dict[str, Callable[[Array, int], Array]] = {
    "torch.sum({}, axis={})": lambda a, axis: a.sum(axis),
    "({}).mean(dim={})": lambda a, axis: a.mean(axis),
    "np.std({}, axis={})": lambda a, axis: a.std(axis),
    "np.max({}, axis={})": lambda a, axis: a.max(axis),
    "({}).min(dim={}).values": lambda a, axis: a.min(axis),
    "norm({}, dim={})": lambda a, axis: np.sqrt((a * a).sum(axis)),
}
_LARGE = 50.0
SHAPES = ((), (3,), (2, 3), (3, 3), (2, 1, 3))


@dataclass(frozen=True)
class Generated:
    """A program, its variables, and its value by NumPy."""

    program: str
    variables: dict[str, Array]
    value: Array


def generate(seed: int) -> Generated:
    """Write one program; the same seed writes the same."""
    source = random.Random(seed)
    numbers = np.random.default_rng(seed)
    variables = {name: numbers.uniform(-1.5, 1.5, source.choice(SHAPES)) for name in "abc"}
    lines = []
    values = dict(variables)
    for name in source.choices(["x", "y", "z"], k=source.randint(0, 3)):
        text, value = _expression(source, values, source.randint(1, 3))
        lines.append(f"{name} = {text}")
        values[name] = value
    text, value = _expression(source, values, 4)
    return Generated("\n".join([*lines, text]), variables, value)


def _expression(source: random.Random, values: dict[str, Array], depth: int) -> tuple[str, Array]:
    """Write an expression; a large value is brought back: powers of powers leave the finite numbers."""
    text, value = _operation(source, values, depth)
    if value.size and np.abs(value).max() > _LARGE:
        return f"tanh({text})", np.tanh(value)
    return text, value


def _operation(source: random.Random, values: dict[str, Array], depth: int) -> tuple[str, Array]:
    if depth == 0 or source.random() < 0.1:
        name = source.choice(sorted(values))
        return name, values[name]
    text, value = _expression(source, values, depth - 1)
    kind = source.random()
    if kind < 0.4:
        return _unary(source, text, value)
    if kind < 0.6 and value.ndim and value.size:
        form, compute = source.choice(list(REDUCTIONS.items()))
        axis = source.randrange(-value.ndim, value.ndim)
        return form.format(text, axis), np.asarray(compute(value, axis))
    other_text, other = _expression(source, values, depth - 1)
    if kind < 0.7 and value.ndim == other.ndim == 2 and value.shape[1] == other.shape[0]:
        form = source.choice(["({}) @ ({})", "torch.matmul({}, {})", "np.dot({}, {})"])
        return form.format(text, other_text), value @ other
    form, combine = source.choice(list(BINARY.items()))
    try:
        return form.format(text, other_text), np.asarray(combine(value, other))
    except ValueError:  # shapes that do not match: keep one of the two
        return text, value


def _unary(source: random.Random, text: str, value: Array) -> tuple[str, Array]:
    form, compute = source.choice(list(UNARY.items()))
    if value.ndim == 0 and ("[" in form or "softmax" in form):
        form, compute = "sin({})", np.sin
    return form.format(text), np.asarray(compute(value))


def disagreement(generated: Generated) -> float:
    """Return how far the language is from NumPy, relative to the largest element where that is above 1."""
    variables = {name: torch.from_numpy(value.copy()) for name, value in generated.variables.items()}
    found = np.asarray(show(run(generated.program, variables, 0).result).value, dtype=np.float64)
    if found.shape != generated.value.shape:
        return np.inf
    if not found.size:
        return 0.0
    return float((np.abs(found - generated.value) / np.maximum(1, np.abs(generated.value))).max())


SMOOTH = (
    "sin({})",
    "torch.cos({})",
    "np.tanh({})",
    "({}).sigmoid()",
    "exp(tanh({}))",
    "({}) ** 2",
    "({}).T",
    "softmax({}, dim=-1)",
)


def smooth(seed: int) -> tuple[str, dict[str, list[float]]]:
    """Write a scalar expression without kinks, whose gradient central differences can check."""
    source = random.Random(seed)
    variables = {name: [source.uniform(-1.2, 1.2) for _ in range(3)] for name in "ab"}

    def expression(depth: int) -> str:
        if depth == 0:
            return source.choice("ab")
        if source.random() < 0.6:
            return source.choice(SMOOTH).format(expression(depth - 1))
        return source.choice(["({}) + ({})", "({}) * ({})", "({}) - ({})"]).format(
            expression(depth - 1), expression(depth - 1)
        )

    return source.choice(["sum({})", "({}).mean()", "torch.dot(a, {})"]).format(expression(3)), variables


FRAGMENTS = (
    "__class__",
    ".__globals__",
    "(",
    ")",
    "[",
    "]",
    "**",
    "10**",
    "9" * 30,
    "1e308",
    "-",
    "[i for i in range(",
    "zeros(10**9)",
    "é",
    "\ud800",
    "\x00",
    "'",
    '"',
    "lambda",
    "import os",
    ".T",
    "@",
    "%0",
    "//0",
    "[::-1]",
    "=",
    ";",
    "\n",
    ",",
    "torch.",
    "np.",
    "a",
    "b",
    "item()",
    "inf",
    "nan",
    "reshape(-1)",
    "True",
    "None",
    "...",
    "eye(2000)",
    "arange(0,1,1e-9)",
    "ones(3,3)",
    "ones(4)",
    "[[1],[2,3]]",
    "sum(dim=7)",
    "softmax(a, dim=2**62)",
    "full((2,2), ",
    "randint(0, 0, (2,))",
    "#",
    "a[a]",
    "[None]",
    "int(",
    "float(",
    "range(",
    "print(",
    "tensor(",
    "tensor([True])",
    "1",
    "2.5",
    ".max(dim=0)",
    ".values",
)


def hostile(seed: int) -> str:
    """Write a program that is broken or greedy: a valid one mutated, or fragments thrown together."""
    source = random.Random(seed)
    if source.random() < 0.5:
        return "".join(source.choices(FRAGMENTS, k=source.randint(1, 25)))
    text = generate(seed).program
    for _ in range(source.randint(1, 4)):
        at, end = sorted((source.randrange(len(text) + 1), source.randrange(len(text) + 1)))
        kind = source.random()
        if kind < 0.5:
            text = text[:at] + source.choice(FRAGMENTS) + text[at:]
        elif kind < 0.75:
            text = text[:at] + text[min(end, at + 5) :]
        else:
            text = text[:at] + text[at:end] * 3 + text[end:]
    return text


def survive(seed: int) -> bool:
    """Run a hostile program; return whether it was refused. Any other exception than a refusal is a fault."""
    variables: dict[str, Value] = {"a": torch.ones(3), "b": torch.ones(2, 3), "c": 2.0}
    try:
        show(run(hostile(seed), variables, 0).result)
    except LanguageError as error:
        if error.line is None:
            raise AssertionError("a refusal without its position") from error
        return True
    return False


def main() -> None:
    """Check as many programs as are asked for, and say what was found."""
    arguments = argparse.ArgumentParser(description="Check generated programs against NumPy.")
    arguments.add_argument("count", type=int)
    count = arguments.parse_args().count
    begin = time.perf_counter()
    worst = max(disagreement(generate(seed)) for seed in range(count))
    _say(f"{count:,} programs: largest disagreement with NumPy {worst:.1e}", begin)
    begin = time.perf_counter()
    worst = max(_gradient_disagreement(seed) for seed in range(count // 10))
    _say(f"{count // 10:,} gradients: largest disagreement with differences {worst:.1e}", begin)
    begin, longest, refused = time.perf_counter(), 0.0, 0
    for seed in range(count // 2):
        one = time.perf_counter()
        refused += survive(seed)
        longest = max(longest, time.perf_counter() - one)
    _say(
        f"{count // 2:,} hostile: {refused:,} refused, no other exception, longest {longest * 1000:.0f} ms",
        begin,
    )


def _say(what: str, begin: float) -> None:
    sys.stdout.write(f"{what} ({time.perf_counter() - begin:.0f} s)\n")


def _gradient_disagreement(seed: int) -> float:
    expression, variables = smooth(seed)
    check = differentiate(expression, variables, asked=Asked(check=True)).check
    if check is None:
        raise AssertionError(expression)
    return check.largest_disagreement


if __name__ == "__main__":
    main()
