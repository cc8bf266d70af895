"""Generated programs of the tensor language beside what NumPy says, and hostile ones that must be refused.

A program is a tree of the forms in `operation_forms.py` over float64 tensors. While its text is written,
NumPy computes the same in place: another implementation, and none of the language's code. Run as a program
with a count: `python -m tests.models.notebook.generated_programs 200000`.
"""

import argparse
import random
import sys
import time
from dataclasses import dataclass

import numpy as np
import torch

from models.notebook.autograd.gradient import GradientOptions, differentiate
from models.notebook.tensor_language.runtime.errors import LanguageError
from models.notebook.tensor_language.runtime.interpreter import run
from models.notebook.tensor_language.runtime.values import Value, show
from tests.models.notebook.operation_forms import FORMS, Array, Form, Operands

_LARGE = 50.0
SHAPES = ((), (3,), (2, 3), (3, 3), (2, 1, 3))
_PICKED: tuple[Operands, ...] = tuple(sorted({form.operands for form in FORMS}))
_BY_OPERANDS = {picked: [form for form in FORMS if form.operands == picked] for picked in _PICKED}
_COLUMNS = np.array([1.0, -0.5, 2.0])

Written = tuple[str, Array]
"""An expression and its value by NumPy."""


@dataclass(frozen=True)
class Generated:
    """A program, its variables, and its value by NumPy."""

    program: str
    variables: dict[str, Array]
    value: Array


def generate(seed: int) -> Generated:
    """Write one program; the same seed writes the same, and as many seeds as there are forms have all."""
    source = random.Random(seed)
    numbers = np.random.default_rng(seed)
    variables = {name: numbers.uniform(-1.5, 1.5, source.choice(SHAPES)) for name in "abc"}
    variables["m"] = numbers.uniform(-1.5, 1.5, (2, 3))
    writer = _Writer(source, variables)
    lines = []
    for name in source.choices(["x", "y", "z"], k=source.randint(0, 2)):
        text, value = writer.expression(source.randint(1, 2))
        lines.append(f"{name} = {text}")
        writer.values[name] = value
    text, value = writer.form(FORMS[seed % len(FORMS)], source.randint(0, 3))
    return Generated("\n".join([*lines, text]), variables, value)


class _Writer:
    """Writes expressions over what has a name so far."""

    def __init__(self, source: random.Random, variables: dict[str, Array]) -> None:
        self.values = dict(variables)
        self._source = source
        self._given = variables

    def expression(self, depth: int) -> Written:
        """Write an expression of float64."""
        if depth == 0:
            name = self._source.choice(sorted(self.values))
            return name, self.values[name]
        return self.form(self._source.choice(_BY_OPERANDS[self._source.choice(_PICKED)]), depth)

    def form(self, form: Form, depth: int) -> Written:
        """Write a form over smaller expressions, brought back to a tensor of float64 of no large elements."""
        first, last = self._operands(form.operands, depth)
        dimension = self._source.randrange(-first[1].ndim, first[1].ndim) if first[1].ndim else 0
        try:
            array = form.compute(first[1], last[1], dimension)
        except ValueError:  # shapes that do not go together
            last = first
            array = form.compute(first[1], last[1], dimension)
        text = form.text.replace("{a}", first[0]).replace("{b}", last[0]).replace("{d}", str(dimension))
        value = np.asarray(array, dtype=np.float64)
        text = f"tensor({text}, dtype=torch.float64)"
        if np.abs(value).max() > _LARGE:
            return f"tanh({text})", np.tanh(value)
        return text, value

    def _operands(self, operands: Operands, depth: int) -> tuple[Written, Written]:
        if operands in {"none", "table"}:
            return ("m", self._given["m"]), ("m", self._given["m"])
        if operands == "leaf":
            names = self._source.choices(sorted(self._given), k=2)
            first, last = ((name, self._given[name]) for name in names)
            return first, last
        first = self.expression(max(depth - 1, 0))
        last = self.expression(self._source.randint(0, max(depth - 1, 0)))
        return _shaped(operands, first, last)


def _shaped(operands: Operands, first: Written, last: Written) -> tuple[Written, Written]:
    if operands == "any":
        return first, last
    if operands == "one":
        return _one(first), _one(last)
    if operands == "vectors":
        length = min(first[1].size, last[1].size)
        return _vector(first, length), _vector(last, length)
    last_text, last_value = _matrix(last)
    return _matrix(first), (f"({last_text}).T", last_value.T)


def _one(expression: Written) -> Written:
    return f"({expression[0]}).reshape(-1)[0]", expression[1].reshape(-1)[0]


def _vector(expression: Written, length: int) -> Written:
    return f"({expression[0]}).reshape(-1)[:{length}]", expression[1].reshape(-1)[:length]


def _matrix(expression: Written) -> Written:
    """Return k x 3 elements, k at most 3, no two of a column alike but by chance."""
    text, value = _vector(expression, min(expression[1].size, 3))
    return f"({text}.reshape(-1, 1) * tensor([1.0, -0.5, 2.0]))", value.reshape(-1, 1) * _COLUMNS


def disagreement(case: Generated) -> float:
    """Return how far the language is from NumPy, relative to the largest element where that is above 1."""
    variables = {name: torch.from_numpy(value.copy()) for name, value in case.variables.items()}
    actual = np.asarray(show(run(case.program, variables, 0).result).value, dtype=np.float64)
    if actual.shape != case.value.shape:
        return np.inf
    if not actual.size:
        return 0.0
    return float((np.abs(actual - case.value) / np.maximum(1, np.abs(case.value))).max())


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
    variables: dict[str, Value] = {"a": torch.ones(3), "b": torch.ones(2, 3), "c": 2.0, "m": torch.ones(2, 3)}
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
    worst, ran = 0.0, 0
    for seed in range(count):
        try:
            worst = max(worst, disagreement(generate(seed)))
            ran += 1
        except LanguageError as error:
            _say(f"program {seed} is refused: {error}", begin)
    _say(f"{count:,} programs, {ran:,} ran: largest disagreement with NumPy {worst:.1e}", begin)
    begin = time.perf_counter()
    worst = max(_gradient_disagreement(seed) for seed in range(count // 10))
    _say(f"{count // 10:,} gradients: largest disagreement with differences {worst:.1e}", begin)
    begin, longest, refusals = time.perf_counter(), 0.0, 0
    for seed in range(count // 2):
        start = time.perf_counter()
        refusals += survive(seed)
        longest = max(longest, time.perf_counter() - start)
    _say(
        f"{count // 2:,} hostile: {refusals:,} refused, no other exception, longest {longest * 1000:.0f} ms",
        begin,
    )


def _say(text: str, begin: float) -> None:
    sys.stdout.write(f"{text} ({time.perf_counter() - begin:.0f} s)\n")
    sys.stdout.flush()


def _gradient_disagreement(seed: int) -> float:
    expression, variables = smooth(seed)
    check = differentiate(expression, variables, options=GradientOptions(check=True)).check
    if check is None:
        raise AssertionError(expression)
    return check.largest_disagreement


if __name__ == "__main__":
    main()
