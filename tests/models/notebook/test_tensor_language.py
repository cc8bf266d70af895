"""What the tensor language does and refuses, beside torch and NumPy, which say what is right."""

import time

import numpy as np
import pytest
import torch
from torch import Tensor

from models.notebook.tensor_language.operations.operations import list_operations
from models.notebook.tensor_language.runtime.errors import (
    LanguageError,
    LimitError,
    OperationError,
    ProgramSyntaxError,
    UnknownNameError,
)
from models.notebook.tensor_language.runtime.interpreter import run
from models.notebook.tensor_language.runtime.limits import Limits
from models.notebook.tensor_language.runtime.values import Value, show, value_of
from tests.models.notebook.generated_programs import disagreement, generate, hostile, survive
from tests.models.notebook.operation_forms import FORMS

LIMITS = Limits()


def result(program: str, **variables: Value) -> Value:
    return run(program, variables, 0).result


def tensor(program: str, **variables: Value) -> Tensor:
    actual = result(program, **variables)
    assert isinstance(actual, Tensor)
    return actual


def refusal(program: str, limits: Limits = LIMITS) -> LanguageError:
    with pytest.raises(LanguageError) as error:
        run(program, {"a": torch.ones(2, 3)}, 0, limits)
    return error.value


@pytest.mark.parametrize("seed", range(len(FORMS)))
def test_a_generated_program_gives_what_numpy_gives(seed: int) -> None:
    assert disagreement(generate(seed)) < 1e-12


@pytest.mark.parametrize("begin", range(0, 2000, 200))
def test_hostile_programs_end_in_a_value_or_a_refusal_with_its_position(begin: int) -> None:
    refusals = [survive(seed) for seed in range(begin, begin + 200)]
    assert sum(refusals) > 150


@pytest.mark.parametrize("operation", list_operations(), ids=lambda operation: operation.name)
def test_every_listed_example_runs(operation: object) -> None:
    example = getattr(operation, "example")  # noqa: B009 - parametrize hands out objects
    assert show(result(example)).text


@pytest.mark.parametrize(
    ("program", "same"),
    [
        ("tensor([1, 2])", torch.tensor([1, 2])),
        ("tensor([1.0, 2])", torch.tensor([1.0, 2])),
        ("tensor([True, False])", torch.tensor([True, False])),
        ("tensor([1, 2]) / 2", torch.tensor([1, 2]) / 2),
        ("tensor([1, 2]) + 1.5", torch.tensor([1, 2]) + 1.5),
        ("tensor([1.5]) + np.array([1.5])", torch.tensor([1.5]) + torch.tensor([1.5], dtype=torch.float64)),
        ("zeros(2, 3, dtype=torch.float64)", torch.zeros(2, 3, dtype=torch.float64)),
        ("full((2,), 7)", torch.full((2,), 7)),
        ("arange(1, 2, 0.25)", torch.arange(1, 2, 0.25)),
        ("arange(5, 0, -2)", torch.arange(5, 0, -2)),
        ("eye(2, 3)", torch.eye(2, 3)),
        ("arange(6).reshape(2, 3)[:, -1]", torch.arange(6).reshape(2, 3)[:, -1]),
        ("arange(6).reshape(2, 3)[..., None, 1:]", torch.arange(6).reshape(2, 3)[..., None, 1:]),
        ("a = arange(6)\na[a > 3]", torch.arange(6)[torch.arange(6) > 3]),
        ("arange(6)[[4, 0]]", torch.arange(6)[[4, 0]]),
        ("std(tensor([1.0, 2.0, 4.0]))", torch.std(torch.tensor([1.0, 2.0, 4.0]))),
        ("np.std([1.0, 2.0, 4.0])", torch.tensor(np.std([1.0, 2.0, 4.0]))),
        ("np.mean([1, 2, 4])", torch.tensor(np.mean([1, 2, 4]))),
        ("argmax(tensor([[1, 9], [7, 2]]), dim=1)", torch.tensor([1, 0])),
        ("max(tensor([[1, 9], [7, 2]]), 1)[1]", torch.tensor([1, 0])),
        ("arange(4).reshape(2, 2).float() @ ones(2)", torch.tensor([1.0, 5.0])),
        ("arange(3).sum()", torch.tensor(3)),
        ("2 ** tensor([1.0, 2.0])", torch.tensor([2.0, 4.0])),
        ("sum(ones(2, 3), axis=(0, 1), keepdims=True)", torch.ones(2, 3).sum((0, 1), keepdim=True)),
    ],
)
def test_a_tensor_has_the_numbers_and_the_dtype_that_torch_gives(program: str, same: Tensor) -> None:
    torch.testing.assert_close(tensor(program), same, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("program", "value"),
    [
        ("-2 ** 2", -4),
        ("2 ** -1", 0.5),
        ("2 ** 3 ** 2", 512),
        ("7 // -2", -4),
        ("-7 % 3", 2),
        ("1e-3 * 2", 0.002),
        ("True + True", 2),
        ("3 >= 2", True),
        ("10 / 4", 2.5),
        ("int(3.9) + float(2)", 5.0),
        ("len([1, 2, 3])", 3),
        ("sum(i**2 for i in range(4))", 14),
        ("max([3, 1]) + min(2, 5)", 5),
        ("round(2.675, 2)", 2.67),
        ("ones(5, 3).shape[1]", 3),
        ("a = 1; a += 2; a", 3),
        ("pi = 3\npi", 3),
    ],
)
def test_plain_numbers_are_python_s(program: str, value: float) -> None:
    actual = result(program)
    assert actual == value
    assert type(actual) is type(value)


def test_a_list_comprehension_nests_and_keeps_its_variable_to_itself() -> None:
    assert show(result("i = 7\n[[i * j for j in range(3)] for i in range(2)]")).value == [
        [0, 0, 0],
        [0, 1, 2],
    ]
    assert result("i = 7\nb = [i for i in range(3)]\ni") == 7


def test_the_prefix_and_the_spelling_change_nothing() -> None:
    spellings = ("torch.sum(a)", "np.sum(a)", "sum(a)", "a.sum()")
    assert {float(tensor(spelling, a=torch.ones(4))) for spelling in spellings} == {4.0}


def test_draws_are_what_torch_draws_after_its_own_seed() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(42)
        integers, normal = torch.randint(0, 10, (3, 2)), torch.normal(0.0, 10.0, (3, 2))
    program = "a = torch.randint(low=0, high=10, size=(3, 2))\nb = torch.normal(mean=0, std=10, size=(3, 2))"
    variables = run(program, {}, 42).variables
    assert torch.equal(integers, variables["a"] if isinstance(variables["a"], Tensor) else normal)
    torch.testing.assert_close(variables["b"], normal, rtol=0, atol=0)


def test_a_slice_is_a_view_and_the_caller_s_tensor_stays_as_it_is() -> None:
    tensor = torch.zeros(3)
    outcome = run("b = a[1:]\nb[0] = 5\na", {"a": tensor}, 0)
    assert show(outcome.result).value == [0.0, 5.0, 0.0]
    assert tensor.tolist() == [0.0, 0.0, 0.0]


def test_what_was_printed_stays_as_it_was() -> None:
    outcome = run("a = zeros(2)\nprint(a)\na[0] = 1\nprint(a, 7)", {}, 0)
    assert [[show(value).value for value in line] for line in outcome.printed] == [
        [[0.0, 0.0]],
        [[1.0, 0.0], 7],
    ]
    assert outcome.result == 7


def test_a_program_that_ends_with_an_assignment_has_no_result() -> None:
    outcome = run("a = 3 # three\n", {}, 0)
    assert outcome.result is None
    assert outcome.variables == {"a": 3}


def test_a_value_shows_its_lists_shape_dtype_and_text() -> None:
    display = show(value_of([[1.0, float("nan")]]))
    assert (display.shape, display.dtype, display.text) == ((1, 2), "float32", "tensor([[1., nan]])")
    assert show(result("ones(2).shape")).text == "torch.Size([2])"
    assert show(result("(1,)")).text == "(1,)"


@pytest.mark.parametrize(
    ("program", "kind", "place", "words"),
    [
        ("x = (1 +", ProgramSyntaxError, (1, 9), "ends too early"),
        ("x = 1\ny = $", ProgramSyntaxError, (2, 5), "not part of the language"),
        ('print("hello")', ProgramSyntaxError, (1, 7), "there are no strings"),
        ("a \u2212 1", ProgramSyntaxError, (1, 3), "write -"),
        ("2 \u00d7 a", ProgramSyntaxError, (1, 3), "write *"),
        ("2\u00b7a", ProgramSyntaxError, (1, 2), "write *"),
        ("a\u00b2", ProgramSyntaxError, (1, 2), "write **2"),
        ("a \u2264 2", ProgramSyntaxError, (1, 3), "write <="),
        ("2^3", ProgramSyntaxError, (1, 2), "write **"),
        ("print(\u201csum\u201d)", ProgramSyntaxError, (1, 7), "there are no strings"),
        ("import torch", ProgramSyntaxError, (1, 8), "nothing needs importing"),
        ("a = 1\nfrom torch import nn", ProgramSyntaxError, (2, 6), "nothing needs importing"),
        ("1 < 2 < 3", ProgramSyntaxError, (1, 7), "cannot be chained"),
        ("a[1 < 2 == 3]", ProgramSyntaxError, (1, 9), "cannot be chained"),
        ("< 3", ProgramSyntaxError, (1, 1), "'<' cannot stand here"),
        ("[i for i in range(9) if i > 3]", ProgramSyntaxError, (1, 22), "there is no if"),
        ("a and a", ProgramSyntaxError, (1, 3), "there is no and"),
        ("for i in range(3): i", ProgramSyntaxError, (1, 1), "no loops but in a list"),
        ("sum(a).backward()", UnknownNameError, (1, 8), "POST /v1/compute/gradient"),
        ("a.grad", UnknownNameError, (1, 3), "POST /v1/compute/gradient"),
        ("a.requires_grad_()", UnknownNameError, (1, 3), "POST /v1/compute/gradient"),
        ("torch.autograd.grad(a, a)", UnknownNameError, (1, 7), "POST /v1/compute/gradient"),
        ("1 = 2", ProgramSyntaxError, (1, 1), "assigned"),
        ("f(x=1, x=2)", ProgramSyntaxError, (1, 8), "twice"),
        ("a = 1\nb + 1", UnknownNameError, (2, 1), "there is no b"),
        ("a.__class__", UnknownNameError, (1, 3), "underscores"),
        ("a.numpy()", UnknownNameError, (1, 3), "numpy"),
        ("a.data", UnknownNameError, (1, 3), "data"),
        ("eval(1)", UnknownNameError, (1, 1), "eval"),
        ("torch.load(1)", UnknownNameError, (1, 7), "load"),
        ("x = 1\na[::-1]", OperationError, (2, 2), "step must be greater than zero"),
        ("a + ones(4)", OperationError, (1, 3), "do not match"),
        ("a @ a", OperationError, (1, 3), "cannot be multiplied"),
        ("torch.dot(a, a)", OperationError, (1, 7), "1D tensors expected"),
        ("a.reshape(4)", OperationError, (1, 3), "invalid for input of size 6"),
        ("a[5]", OperationError, (1, 2), "out of bounds"),
        ("a.item()", OperationError, (1, 3), "one element"),
        ("a.sum(dim=4)", OperationError, (1, 3), "out of range"),
        ("mean(tensor([1, 2]))", OperationError, (1, 1), "dtype"),
        ("torch.exp([1.0])", OperationError, (1, 7), "takes a tensor"),
        ("1 / 0", OperationError, (1, 3), "division by zero"),
        ("tensor([[1, 2], [3]])", OperationError, (1, 1), "expected sequence of length 2"),
        ("torch.matmul(arange(3), ones(3))", OperationError, (1, 7), "dtype"),
        ("zeros(3, fill=2)", OperationError, (1, 1), "does not take fill"),
    ],
)
def test_a_refusal_says_what_and_where(
    program: str, kind: type[LanguageError], place: tuple[int, int], words: str
) -> None:
    error = refusal(program)
    assert type(error) is kind
    assert (error.line, error.column) == place
    assert words in error.message


@pytest.mark.parametrize(
    "program",
    [
        "zeros(1001, 1000)",
        "zeros(10**15, 0)",
        "ones(2000, 1) + ones(1, 2000)",
        "ones(2000, 1) @ ones(1, 2000)",
        "zeros(1000, 1, 1, 1000) @ zeros(1000, 1000, 1)",  # a small product of factors that torch repeats
        "arange(0, 1, 1e-300)",
        "range(10**18)",
        "[i for i in range(10**6)]",
        "[[i for i in range(100)] for j in range(100)]",
        "b = [1, 2]\n" + "b = [b, b]\n" * 30,
        "b = [1]\n" + "b = [b]\n" * 70,
        "b = zeros(2)\n" + "b = b[None]\n" * 70,
        "b = [zeros(1000, 1000) for i in range(21)]",
        "10 ** 10 ** 10",
        "9" * 4000,
        "(-2) ** 64",
        "(" * 65 + "1" + ")" * 65,
        "2 **" * 1000 + "1",
        "1 + " * 1001 + "1",
        "#" + "é" * 2048,
    ],
    ids=range(20),
)
def test_what_is_too_much_is_refused_at_once(program: str) -> None:
    begin = time.perf_counter()
    assert type(refusal(program)) is LimitError
    assert time.perf_counter() - begin < 1.0


def test_limits_are_what_the_caller_says() -> None:
    assert "8 are allowed" in refusal("1 + 2 + 3", Limits(program_bytes=8)).message
    assert "3 operations" in refusal("1 + 2 + 3 + 4 + 5", Limits(operations=3)).message
    assert "3 elements" in refusal("zeros(4)", Limits(elements=3)).message
    assert "2 allowed" in refusal("[[[1]]]", Limits(nesting=2)).message
    assert run("(" * 64 + "1" + ")" * 64, {}, 0).result == 1


def test_the_text_of_a_hostile_program_never_stands_raw_in_a_message() -> None:
    for program in ("\ud800", "é", "\x00"):
        assert refusal(program).message.isascii()


@pytest.mark.parametrize("name", ["backward", "grad", "requires_grad"])
def test_a_variable_may_have_the_name_of_what_is_not_there(name: str) -> None:
    assert result(f"{name} = 3\n{name} + 1") == 4


def test_hostile_programs_are_not_all_alike() -> None:
    assert len({hostile(seed) for seed in range(100)}) > 95


def test_a_linspace_that_says_no_number_has_as_many_as_numpy_gives() -> None:
    torch.testing.assert_close(tensor("np.linspace(0, 1)"), torch.from_numpy(np.linspace(0, 1)))
    assert tensor("linspace(0, 1)").shape == (100,)


def test_the_second_of_an_extreme_of_a_tensor_is_dim_and_the_third_keepdim() -> None:
    for call in ("torch.max(a, 1, True)", "a.max(1, True)", "a.max(1, keepdim=True)", "max(a, 1, True)"):
        assert tensor(f"a = tensor([[1, 2], [4, 3]]); {call}.values").tolist() == [[2], [4]]


@pytest.mark.parametrize("name", ["max", "min"])
@pytest.mark.parametrize(
    "arguments",
    [
        "1, 2, 3",
        "3, 1, 7",
        "1, 2, dim=0",
        "ones(2), zeros(2), dim=0",
        "ones(2), keepdim=True",
        "ones(2, 2), 0, dim=1",
        "ones(2), zeros(2), keepdim=True",
    ],
)
def test_an_extreme_of_two_values_takes_no_dimension(name: str, arguments: str) -> None:
    assert type(refusal(f"{name}({arguments})")) is OperationError


@pytest.mark.parametrize("numbers", [[1, 2, 3], [3, 1, 7], [3, 1, -7], [2.5, 2]])
def test_an_extreme_of_several_numbers_is_pythons(numbers: list[float]) -> None:
    assert run(f"max({numbers})", {}, 0).result == max(numbers)
    assert run(f"min({numbers})", {}, 0).result == min(numbers)
