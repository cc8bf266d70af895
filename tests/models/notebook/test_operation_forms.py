"""The generated programs call every operation in every way that the table of operations allows."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import pytest

from models.notebook.tensor_language.operations import elementwise, reductions
from models.notebook.tensor_language.operations.operations import ATTRIBUTES, NOT_METHODS, ONLY_METHODS, TABLE
from models.notebook.tensor_language.operations.table import Specification
from models.notebook.tensor_language.runtime.limits import Limits
from models.notebook.tensor_language.syntax.parsing import parse
from models.notebook.tensor_language.syntax.program import Operation
from tests.models.notebook.generated_programs import generate
from tests.models.notebook.operation_forms import FORMS

Calls = Mapping[str, Sequence[Operation]]

# `a.transpose(1)` says only one of the two dimensions that torch's method swaps, and is refused.
_REFUSED = {("transpose", "method", 2)}
_SIZES = 3  # how many a shape is written out with


@pytest.fixture(scope="module")
def calls() -> Calls:
    """Every call in as many generated programs as there are forms, by the operation's name."""
    calls_by_name: dict[str, list[Operation]] = defaultdict(list)
    for seed in range(len(FORMS)):
        for step in parse(generate(seed).program, Limits()).steps:
            if isinstance(step, Operation):
                calls_by_name[step.opcode].append(step)
    return calls_by_name


def spellings(line: Specification) -> set[str]:
    """Return the ways to write an operation; an operator has symbols in its name."""
    if not line.name.isidentifier():
        return {"operator"}
    function = set() if line.name in ONLY_METHODS else {"function"}
    return function if line.name in NOT_METHODS else function | {"method"}


def positional(line: Specification) -> range:
    """Return how many arguments without names the operation takes, its receiver among them."""
    parameters = line.signature.parameters
    fewest = sum(parameter.required for parameter in parameters)
    rest = [place for place, parameter in enumerate(parameters) if parameter.takes_rest]
    return range(fewest, (rest[0] + _SIZES if rest else len(parameters)) + 1)


@pytest.mark.parametrize("line", TABLE.values(), ids=TABLE)
def test_generated_programs_call_it_with_every_number_of_arguments(line: Specification, calls: Calls) -> None:
    expected = {(line.name, spelling, count) for spelling in spellings(line) for count in positional(line)}
    actual = {(line.name, call.spelling, len(call.arguments)) for call in calls[line.name]}
    assert expected - _REFUSED <= actual


@pytest.mark.parametrize("line", TABLE.values(), ids=TABLE)
def test_generated_programs_call_it_with_every_name_of_its_arguments(
    line: Specification, calls: Calls
) -> None:
    if not line.name.isidentifier():
        return
    expected = {name for parameter in line.signature.parameters for name in parameter.names}
    actual = {name for call in calls[line.name] for name, _ in call.keywords}
    assert expected - ({"input"} if line.name in ONLY_METHODS else set()) <= actual


@pytest.mark.parametrize("name", [line.name for line in (*elementwise.OPERATIONS, *reductions.OPERATIONS)])
def test_generated_programs_call_it_with_every_prefix(name: str, calls: Calls) -> None:
    assert {call.style for call in calls[name] if call.spelling == "function"} == {"torch", "numpy", "plain"}


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_generated_programs_ask_for_it_without_brackets(name: str, calls: Calls) -> None:
    assert any(call.spelling == "attribute" for call in calls[name])
