"""Programs and gradients over HTTP: what the notebook shows comes back, and a mistake with its position."""

import json

import pytest
from fastapi.testclient import TestClient

from models.notebook.tensor_language.operations.operations import list_operations
from tests.models.notebook.generated_programs import hostile
from tests.models.notebook.notebook_cells import CELLS, GRADIENT_CELLS, TASKS, Cell, GradientCell, Task
from tests.support.requests.computations import computed, refused
from tests.support.requests.refusals import check_problem

TENSOR, TEXT, GRADIENT = "/v1/compute/tensor", "/v1/compute/tensor.txt", "/v1/compute/gradient"


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.heading)
def test_a_cell_of_the_notebook_prints_the_same(published: TestClient, cell: Cell) -> None:
    assert computed(published, TENSOR, program=cell.program)["result"]["text"] == cell.printed


@pytest.mark.parametrize("cell", GRADIENT_CELLS, ids=lambda cell: cell.heading)
def test_a_gradient_cell_of_the_notebook_gives_the_same(published: TestClient, cell: GradientCell) -> None:
    found = computed(
        published, GRADIENT, expression=cell.expression, variables=cell.variables, wrt=list(cell.gradients)
    )
    for name, printed in cell.gradients.items():
        shown = computed(published, TENSOR, program="g", variables={"g": found["gradients"][name]})
        assert shown["result"]["text"] == printed


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_task_of_the_notebook_has_its_answer(published: TestClient, task: Task) -> None:
    assert computed(published, TENSOR, program=task.program)["result"]["text"] == task.printed


def test_a_program_answers_with_its_result_its_variables_and_what_it_printed(published: TestClient) -> None:
    program = "a = arange(6).reshape(2, 3)\nprint(a[0])\na[0, 1:] = b\na.sum()"
    assert computed(published, TENSOR, program=program, variables={"b": [7, 8]}) == {
        "result": {"value": 27, "shape": [], "dtype": "int64", "text": "tensor(27)"},
        "values": {
            "b": {"value": [7, 8], "shape": [2], "dtype": "int64", "text": "tensor([7, 8])"},
            "a": {
                "value": [[0, 7, 8], [3, 4, 5]],
                "shape": [2, 3],
                "dtype": "int64",
                "text": "tensor([[0, 7, 8],\n        [3, 4, 5]])",
            },
        },
        "printed": ["tensor([0, 1, 2])"],
        "seed": None,
    }


def test_as_text_a_program_shows_what_the_notebook_would_show(published: TestClient) -> None:
    answer = published.post(TEXT, content="a = torch.tensor([i**2 for i in range(10)])\nprint(a[:5])\na[-3:]")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == "tensor([ 0,  1,  4,  9, 16])\ntensor([49, 64, 81])\n"


def test_as_text_what_is_printed_last_is_shown_once_and_several_values_share_a_line(
    published: TestClient,
) -> None:
    assert published.post(TEXT, content="a = arange(3)\nprint(a)").text == "tensor([0, 1, 2])\n"
    assert published.post(TEXT, content="a = arange(3)\nprint(a)\na").text == "tensor([0, 1, 2])\n" * 2
    assert published.post(TEXT, content="print(1, 2.5)\nprint()\nprint(3)").text == "1 2.5\n\n3\n"
    assert computed(published, TENSOR, program="print(1, [2])")["printed"] == ["1 [2]"]


def test_as_text_nothing_shows_nothing(published: TestClient) -> None:
    assert published.post(TEXT, content="").text == ""
    assert published.post(TEXT, content="a = 1").text == ""


def test_as_text_a_mistake_is_a_problem_with_its_position(published: TestClient) -> None:
    problem = check_problem(published.post(TEXT, content="a = arange(10)\na[::-1]"))
    assert problem["detail"].startswith("line 2, column 2: step must be greater than zero")
    assert [place["pointer"] for place in problem["errors"]] == [""]
    problem = check_problem(published.post(TEXT, content=b"a = 1\n\xff"))
    assert "line 2" in problem["detail"]


@pytest.mark.parametrize("seed", ["-1", "x", "", "1.5", str(2**53), "NaN"])
def test_as_text_a_bad_seed_is_refused_by_its_name(published: TestClient, seed: str) -> None:
    problem = check_problem(published.post(f"{TEXT}?seed={seed}", content="1"))
    assert [place["parameter"] for place in problem["errors"]] == ["seed"]


def test_a_draw_says_its_seed_and_the_seed_draws_the_same(published: TestClient) -> None:
    first = computed(published, TENSOR, program="normal(0, 1, (3,))")
    again = computed(published, TENSOR, program="normal(0, 1, (3,))", seed=first["seed"])
    other = computed(published, TENSOR, program="normal(0, 1, (3,))", seed=first["seed"] + 1)
    assert again == first
    assert other["result"] != first["result"]
    assert (
        published.post(TEXT, content="randint(0, 9, (5,))").text
        == published.post(f"{TEXT}?seed=0", content="randint(0, 9, (5,))").text
    )


def test_what_json_has_no_number_for_is_null_and_stands_in_the_text(published: TestClient) -> None:
    shown = computed(published, TENSOR, program="log(tensor([-1., 0., 1.]))")["result"]
    assert (shown["value"], shown["text"]) == ([None, None, 0.0], "tensor([nan, -inf, 0.])")
    found = computed(published, GRADIENT, expression="log(w)", variables={"w": -1.0}, check=True)
    assert found["value"] is None
    assert (found["check"]["gradients"], found["check"]["largest_disagreement"]) == ({"w": None}, None)


def test_a_gradient_tells_nan_and_the_infinities_apart_in_its_text(published: TestClient) -> None:
    found = computed(published, GRADIENT, expression="log(w)", variables={"w": 0.0, "v": 1.0}, check=True)
    assert (found["value"], found["gradients"]) == (None, {"w": None, "v": 0.0})
    assert found["text"] == {"value": "tensor(-inf)", "gradients": {"w": "tensor(inf)"}}
    assert found["check"]["text"]["gradients"]["w"] == "tensor(nan, dtype=torch.float64)"
    assert found["check"]["text"]["largest_disagreement"] == "nan"
    found = computed(
        published, GRADIENT, expression="sum(sqrt(x))", variables={"x": [0.0, 4.0, -1.0]}, order=2
    )
    assert found["gradients"] == {"x": [None, 0.25, None]}
    assert found["text"]["gradients"]["x"] == "tensor([   inf, 0.2500,    nan])"
    assert "-inf" in found["text"]["hessian"]["x"]["x"]
    assert "text" not in computed(published, GRADIENT, expression="w", variables={"w": 1.0}, check=True)


def test_a_large_result_is_whole_and_a_large_variable_shows_its_shape(published: TestClient) -> None:
    shown = computed(published, TENSOR, program="a = zeros(100, 200)\na + 1")
    assert shown["result"]["value"] == [[1.0] * 200] * 100
    assert (shown["values"]["a"]["value"], shown["values"]["a"]["shape"]) == (None, [100, 200])
    assert shown["values"]["a"]["text"].startswith("tensor([[0., 0., 0.,")


def test_double_precision_is_there_to_choose(published: TestClient) -> None:
    variables = {"a": [0.1, 0.2]}
    assert computed(published, TENSOR, program="a", variables=variables)["result"]["value"] != [0.1, 0.2]
    double = computed(published, TENSOR, program="a", variables=variables, dtype="float64")["result"]
    assert (double["value"], double["dtype"]) == ([0.1, 0.2], "float64")
    found = computed(
        published,
        GRADIENT,
        expression="sum(a * w)",
        variables={"w": [1.0, 2.0], **variables},
        dtype="float64",
    )
    assert found["gradients"]["w"] == [0.1, 0.2]


def test_a_gradient_alone_says_value_and_gradients(published: TestClient) -> None:
    found = computed(published, GRADIENT, expression="w**3 + w**2", variables={"w": 2.0})
    assert found == {"value": 12.0, "gradients": {"w": 16.0}}


def test_a_gradient_can_come_with_hessian_check_and_graph(published: TestClient) -> None:
    found = computed(
        published,
        GRADIENT,
        expression="x**2 * y",
        variables={"x": 3.0, "y": 5.0},
        order=2,
        check=True,
        graph=True,
    )
    assert found["hessian"] == {"x": {"x": 10.0, "y": 6.0}, "y": {"x": 6.0, "y": 0.0}}
    assert found["check"]["gradients"] == {"x": pytest.approx(30.0), "y": pytest.approx(9.0)}
    assert found["check"]["largest_disagreement"] < 1e-6
    assert [node["operation"] for node in found["graph"]["nodes"]] == ["*", "y", "**", "x"]
    assert found["graph"]["edges"][0] == {"source": 0, "target": 2}
    assert found["graph"]["dot"].startswith("digraph backward {")


MISTAKES = {
    "no program": ("a = = 1", 422, 1, 5),
    "an unknown name": ("a = 1\nb", 422, 2, 1),
    "a shape that does not fit": ("ones(2, 3) @ ones(2, 3)", 422, 1, 12),
    "a string": ("'a'", 422, 1, 1),
    "a dunder": ("(1).__class__", 422, 1, 5),
    "an import": ("import os", 422, 1, 8),
    "too many elements": ("zeros(10**9)", 413, 1, 1),
    "too many operations": ("[[i*j for i in range(40)] for j in range(40)]", 413, 1, None),
    "too deep": ("(" * 70 + "1" + ")" * 70, 413, 1, None),
    "too long": ("1" + " + 1" * 2000, 413, 1, None),
}


@pytest.mark.parametrize(("program", "status", "line", "column"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_a_program_is_refused_where_it_stands(
    published: TestClient, program: str, status: int, line: int, column: int | None
) -> None:
    for path, field in ((TENSOR, "program"), (GRADIENT, "expression")):
        body = {field: program, **({"variables": {"w": 1.0}} if path == GRADIENT else {})}
        problem = refused(published, path, status, **body)
        (place,) = problem["errors"]
        assert (place["pointer"], place["line"]) == (f"/{field}", line)
        assert column is None or place["column"] == column
        assert problem["detail"] == f"line {line}, column {place['column']}: {place['detail']}"


def test_bad_variables_are_refused_by_their_names(published: TestClient) -> None:
    cases: tuple[tuple[object, int, str], ...] = (
        ({"a": [[1], [2, 3]]}, 422, "/variables/a"),
        ({"a": [1, "x"]}, 422, "/variables/a/1"),
        ({"a b": 1}, 422, "/variables/a b"),
        ({"a": 2**63}, 422, "/variables/a"),
    )
    for variables, status, pointer in cases:
        for path, body in ((TENSOR, {"program": "1"}), (GRADIENT, {"expression": "a"})):
            problem = refused(published, path, status, variables=variables, **body)
            assert [place["pointer"] for place in problem["errors"]] == [pointer]


def test_as_text_a_program_of_any_length_is_refused_as_too_long(published: TestClient) -> None:
    for length in (4097, 2**19, 900_000):
        answer = published.post(TEXT, content="1" * length)
        assert (answer.status_code, check_problem(answer)["type"]) == (413, "urn:likely:problem:too-large")
        assert "4,096 are allowed" in answer.json()["detail"]


def test_of_many_mistakes_in_variables_one_is_named(published: TestClient) -> None:
    for variables, pointer in (
        ({"a": [None] * 100_000}, "/variables/a/0"),
        ({"a": [[1], [""] * 100_000]}, "/variables/a/1/0"),
        ({f"{number} wrong": 1 for number in range(50_000)}, "/variables"),
    ):
        problem = refused(published, TENSOR, 422, program="1", variables=variables)
        assert [place["pointer"] for place in problem["errors"]] == [pointer]


def test_a_seed_outside_of_its_bounds_is_refused_with_the_bound(published: TestClient) -> None:
    for seed, bound in ((-1, "0"), (2**60, str(2**53 - 1))):
        assert bound in refused(published, TENSOR, 422, program="1", seed=seed)["detail"]


def test_a_comparison_has_a_number_as_its_value_and_no_slope(published: TestClient) -> None:
    answer = published.post(GRADIENT, json={"expression": "w > 2", "variables": {"w": 3.0}})
    assert answer.text == '{"value":1.0,"gradients":{"w":0.0}}'


def test_a_gradient_by_a_variable_that_is_not_there_is_refused(published: TestClient) -> None:
    problem = refused(published, GRADIENT, 422, expression="w", variables={"w": 1}, wrt=["w", "v"])
    assert [place["pointer"] for place in problem["errors"]] == ["/wrt/1"]


def test_the_list_of_operations_is_what_runs(published: TestClient) -> None:
    listed = published.get("/v1/compute").json()
    assert [each["name"] for each in listed["operations"]] == [each.name for each in list_operations()]
    for each in listed["operations"]:
        assert computed(published, TENSOR, program=each["example"])["result"] is not None, each
    assert listed["limits"]["elements"] == 1_000_000
    assert listed["limits"]["program_bytes"] == 4096


def test_hostile_programs_are_answered_or_refused(published: TestClient) -> None:
    variables = {"a": [1.0, 1.0, 1.0], "b": [[1.0] * 3] * 2, "c": 2.0, "m": [[1.0] * 3] * 2}
    for seed in range(300):
        body = json.dumps({"program": hostile(seed), "variables": variables}).encode()
        answer = published.post(TENSOR, content=body, headers={"Content-Type": "application/json"})
        if answer.status_code != 200:
            check_problem(answer)
