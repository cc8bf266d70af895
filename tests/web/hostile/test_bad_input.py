"""Every mistake that a JSON body can hold, at every place where it can stand: a 4xx that names the place.

Other mistakes are in `test_bad_requests.py` and `test_bad_queries.py`; imports have tests of their own.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest

from tests.support.requests.classroom import CLASS
from tests.support.requests.hostile_values import (
    BAD_DIMENSIONS,
    BAD_IDS,
    BAD_TITLES,
    BEYOND_FINITE,
    NO_NUMBERS,
    NO_STRINGS,
    SURROGATES,
)
from tests.support.requests.refusals import Refusing, resolve

HUGE = "9" * 5000
DEEP = 100_000


class Operation(NamedTuple):
    """An operation, a body that it takes, and what the fields of the body must not be, by JSON pointer."""

    method: str
    path: str
    body: Mapping[str, Any]
    required: tuple[str, ...]
    bad: Mapping[str, tuple[str, ...]]


OPERATIONS = {
    "catalog": Operation(
        "PUT",
        "/v1/catalogs/new",
        {"title": "T", "dimensions": ["a", "b"]},
        ("dimensions",),
        {
            "/title": BAD_TITLES,
            "/dimensions/1": (*BAD_DIMENSIONS, '"a"', '"movie"', '"title"'),
            "/dimensions": ("null", "5", '"ab"', "{}", json.dumps([str(i) for i in range(4097)])),
        },
    ),
    "serving": Operation(
        "PUT",
        f"{CLASS}/serving",
        {"training": 1},
        ("training",),
        {"/training": (*BEYOND_FINITE, *NO_NUMBERS, "null", "0", "-1", "1.5", str(2**53), "1e39")},
    ),
    "movie": Operation(
        "PUT",
        f"{CLASS}/movies/m0",
        {"title": "T", "vector": [0.5, 0.25, -1]},
        ("vector",),
        {
            "/title": BAD_TITLES,
            "/vector/1": (*BEYOND_FINITE, *NO_NUMBERS, "null", "1e39", "-1e39", "1.1e9"),
            "/vector": ("null", "5", '"abc"', "[]", "[1, 2]", "[1, 2, 3, 4]", json.dumps([0] * 4097)),
        },
    ),
    "movie by name": Operation(
        "PUT",
        f"{CLASS}/movies/m0",
        {"vector": {"violence": 0.5, "positive message": 0.25, "language": -1}},
        ("vector",),
        {
            "/vector/positive message": (*BEYOND_FINITE, *NO_NUMBERS, "null", "1e39", "-1e39"),
            "/vector": (r'{"\ud800": 1}', '{"": 1}', r'{"a\u0000": 1}', json.dumps({"x" * 129: 1})),
        },
    ),
    "response": Operation(
        "PUT",
        f"{CLASS}/users/new/responses/m0",
        {"response": 1, "timestamp": 5.5},
        ("response",),
        {
            "/response": (*BEYOND_FINITE, *NO_NUMBERS, "null", "1e39", "-0.001", "1.0000001", "2", "-1"),
            "/timestamp": (*BEYOND_FINITE, *NO_NUMBERS, "1e39", "-1", "1e12"),
        },
    ),
    "training": Operation(
        "POST",
        f"{CLASS}/trainings",
        {
            "trainer": "gradient_descent",
            "options": {
                "loss": "squared",
                "penalty": "norm",
                "penalty_weight": 0.2,
                "learning_rate": 0.1,
                "epochs": 10,
                "optimizer": "sgd",
                "device": "cpu",
            },
            "seed": 1,
            "serve": True,
        },
        ("trainer",),
        {
            "/trainer": (*SURROGATES, *NO_STRINGS, "null", '"nonsense"', '""'),
            "/options": ("null", "5", "[]", '"x"'),
            **{
                f"/options/{name}": (*SURROGATES, *NO_STRINGS, "null", '"nonsense"')
                for name in ("loss", "penalty", "optimizer", "device")
            },
            "/options/penalty_weight": (*BEYOND_FINITE, *NO_NUMBERS, "null", "1e39", "-0.1"),
            "/options/learning_rate": (*BEYOND_FINITE, *NO_NUMBERS, "null", "1e39", "0", "-1"),
            "/options/epochs": (*BEYOND_FINITE, *NO_NUMBERS, "null", "1e39", "0", "-1", "1.5", "100001"),
            "/seed": (*BEYOND_FINITE, *NO_NUMBERS, "1e39", "-1", "1.5", str(2**53)),
            "/serve": ("null", "1", "0", '"true"', "[]"),
        },
    ),
    "mixed effects": Operation(
        "POST",
        f"{CLASS}/trainings",
        {
            "trainer": "mixed_effects",
            "options": {"learned_dimensions": 2, "tolerance": 1e-3, "max_steps": 10},
            "holdout": {"fraction": 0.5, "by": "seed"},
            "serve": "if_better",
        },
        ("trainer", "holdout"),
        {
            "/options/learned_dimensions": (*BEYOND_FINITE, *NO_NUMBERS, "null", "-1", "1.5", "65"),
            "/options/tolerance": (*BEYOND_FINITE, *NO_NUMBERS, "null", "0", "0.11"),
            "/options/max_steps": (*BEYOND_FINITE, *NO_NUMBERS, "null", "0", "1.5", "10001"),
            "/options": ('{"epochs": 5}', "null", "[]"),
            "/holdout": ("5", "[]", '"x"', "{}", '{"by": "time"}', '{"fraction": 0.5, "last_n": 1}', "null"),
            "/holdout/fraction": (*BEYOND_FINITE, *NO_NUMBERS, "0", "0.91"),
            "/holdout/by": (*SURROGATES, *NO_STRINGS, "null", '"day"'),
            "/serve": ("null", "1", '"better"', "[]"),
        },
    ),
    "preview": Operation(
        "POST",
        f"{CLASS}/scores:preview",
        {"responses": {"m0": 1, "m1": 0.5}, "limit": 2, "exclude": ["m2"], "include": ["explanation"]},
        (),
        {
            "/responses/m0": (*BEYOND_FINITE, *NO_NUMBERS, "null", "-0.1", "1.1"),
            "/responses": ("null", "5", "[]", '"x"', r'{"\ud800": 1}', '{"": 1}', '{"a/b": 1}'),
            "/limit": (*BEYOND_FINITE, *NO_NUMBERS, "0", "1001", "1.5"),
            "/exclude/0": BAD_IDS,
            "/include/0": (*SURROGATES, *NO_STRINGS, "null", '"everything"'),
            "/include": ("null", '"interval"', "{}"),
        },
    ),
    "program": Operation(
        "POST",
        "/v1/compute/tensor",
        {"program": "a + b", "variables": {"a": 1, "b": [1, 2]}, "seed": 1, "dtype": "float32"},
        ("program",),
        {
            "/program": (*SURROGATES, *NO_STRINGS, "null", '"("', r'"\u0000"', '"é"', '"x"'),
            "/variables/b": (*SURROGATES, '"1"', "{}", "null", "NaN", "1e999", "[1, [2]]", '[1, "x"]'),
            "/variables": ("null", "5", "[]", '"x"', '{"": 1}', '{"1a": 1}', r'{"\ud800": 1}'),
            "/seed": (*BEYOND_FINITE, *NO_NUMBERS, "-1", "1.5", str(2**53)),
            "/dtype": (*SURROGATES, *NO_STRINGS, "null", '"int"'),
        },
    ),
    "gradient": Operation(
        "POST",
        "/v1/compute/gradient",
        {
            "expression": "w ** 2",
            "variables": {"w": 2},
            "wrt": ["w"],
            "order": 1,
            "check": False,
            "graph": False,
            "seed": 1,
            "dtype": "float32",
        },
        ("expression", "variables"),
        {
            "/expression": (*SURROGATES, *NO_STRINGS, "null", '"w +"', '"[w, w]"', '""'),
            "/variables/w": (*SURROGATES, '"1"', "{}", "null", "-Infinity", "[[1], [1, 2]]"),
            "/variables": ("null", "{}", "[]", "5"),
            "/wrt/0": (*SURROGATES, *NO_STRINGS, "null", '"v"', '""'),
            "/wrt": ("[]", "5", '"w"', "{}"),
            "/order": ("0", "3", "true", "null", '"1"', "1.5"),
            "/check": ("1", "null", '"yes"'),
            "/graph": ("1", "null", '"yes"'),
            "/seed": (*BEYOND_FINITE, *NO_NUMBERS, "null", "-1", "1.5", str(2**53)),
            "/dtype": (*SURROGATES, *NO_STRINGS, "null", '"float16"'),
        },
    ),
    "neuron": Operation(
        "POST",
        "/v1/compute/neuron",
        {
            "inputs": [1, 2],
            "weights": [0.5, 0.5],
            "target": 0.5,
            "learning_rate": 0.1,
            "epochs": 5,
            "layer": "weights",
            "trace": "ends",
        },
        ("inputs", "weights"),
        {
            "/inputs/1": (*BEYOND_FINITE, *NO_NUMBERS, "null", "1e7"),
            "/inputs": ("null", "5", "[]", '"x"', "{}"),
            "/weights/0": (*BEYOND_FINITE, *NO_NUMBERS, "null", "-1e7"),
            "/weights": ("null", "5", "[]", '"x"', "{}"),
            "/target": (*BEYOND_FINITE, *NO_NUMBERS, "null", "-0.1", "1.1"),
            "/learning_rate": (*BEYOND_FINITE, *NO_NUMBERS, "null", "0", "1001"),
            "/epochs": (*BEYOND_FINITE, *NO_NUMBERS, "null", "0", "1.5"),
            "/layer": (*SURROGATES, *NO_STRINGS, "null", '"conv"'),
            "/trace": (*SURROGATES, *NO_STRINGS, "null", '"some"'),
        },
    ),
    "network": Operation(
        "POST",
        "/v1/compute/mlp",
        {
            "layers": [1, 2, 1],
            "inputs": [[1], [2]],
            "targets": [1, [2]],
            "target_expression": "x1",
            "activation": "tanh",
            "optimizer": "adam",
            "learning_rate": 0.1,
            "epochs": 5,
            "seed": 1,
            "tolerance": 0.1,
            "evaluate": [[3]],
            "weights": ["w_11^(1)"],
            "stream": False,
        },
        ("layers", "inputs"),
        {
            "/layers/1": (*BEYOND_FINITE, *NO_NUMBERS, "null", "0", "1001", "1.5"),
            "/layers": ("null", "5", "[]", "[1]", '"x"', "{}"),
            "/inputs/1/0": (*BEYOND_FINITE, *NO_NUMBERS, "null", "1e7"),
            "/inputs/1": ("null", "5", "[]", "[1, 2]", '"x"', "{}"),
            "/inputs": ("null", "5", "[]", '"x"', "{}"),
            "/targets/0": (*BEYOND_FINITE, "true", '"1"', "[]", "{}", "null", "1e7", "[1, 2]"),
            "/targets": ("5", "[]", "[1]", '"x"', "{}"),
            "/target_expression": (*SURROGATES, *NO_STRINGS, '"x2"', '"x1 +"', '"[1, 2]"', '"1/0"'),
            "/activation": (*SURROGATES, *NO_STRINGS, "null", '"step"'),
            "/optimizer": (*SURROGATES, *NO_STRINGS, "null", '"lbfgs"'),
            "/learning_rate": (*BEYOND_FINITE, *NO_NUMBERS, "0", "1001"),
            "/epochs": (*BEYOND_FINITE, *NO_NUMBERS, "null", "0", "1.5"),
            "/seed": (*BEYOND_FINITE, *NO_NUMBERS, "null", "-1", "1.5", str(2**53)),
            "/tolerance": (*BEYOND_FINITE, *NO_NUMBERS, "null", "0"),
            "/evaluate/0/0": (*BEYOND_FINITE, *NO_NUMBERS, "null", "1e7"),
            "/evaluate/0": ("null", "5", "[]", "[1, 2]", '"x"', "{}"),
            "/weights/0": (*SURROGATES, *NO_STRINGS, "null", '"w_12^(1)"', '"w"', '""'),
            "/weights": ("null", "5", '"w_11^(1)"', "{}"),
            "/stream": ("1", "null", '"yes"'),
        },
    ),
    "pairs": Operation(
        "POST",
        f"{CLASS}/scores",
        {"pairs": [["0", "m0"], ["1", "m1"]]},
        ("pairs",),
        {
            "/pairs/1/0": BAD_IDS,
            "/pairs/1/1": BAD_IDS,
            "/pairs/1": ("null", "5", '"01"', "{}", "[]", '["0"]', '["0", "m0", "m1"]'),
            "/pairs": ("null", "5", '"x"', "{}"),
        },
    ),
}


def written(body: object, pointer: str, fragment: str) -> str:
    """Return a body as JSON text with a piece of text, JSON or not, at the place of the pointer."""
    changed = json.loads(json.dumps(body))
    parent, _, last = pointer.rpartition("/")
    holder: Any = resolve(parent, changed)
    holder[int(last) if isinstance(holder, list) else last] = "@here@"
    return json.dumps(changed).replace('"@here@"', fragment)


BAD_VALUES = [
    pytest.param(operation, pointer, fragment, id=f"{name}-{pointer}-{fragment[:30]}")
    for name, operation in OPERATIONS.items()
    for pointer, fragments in operation.bad.items()
    for fragment in fragments
]
each_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)


@pytest.mark.parametrize(("operation", "pointer", "fragment"), BAD_VALUES)
def test_a_bad_value_is_refused_where_it_stands(
    refusing: Refusing, operation: Operation, pointer: str, fragment: str
) -> None:
    body = written(operation.body, pointer, fragment)
    problem = refusing.refuse(operation.method, operation.path, 422, content=body)
    assert problem["errors"]
    for place in problem["errors"]:
        missing = "required" in place["detail"]  # then the pointer names what should be there
        resolve(place["pointer"].rpartition("/")[0] if missing else place["pointer"], json.loads(body))
        # A value that is a list or an object may hold the mistake further inside.
        assert place["pointer"] == pointer or place["pointer"].startswith(f"{pointer}/")


@each_operation
def test_an_unknown_field_is_refused_where_it_stands(refusing: Refusing, operation: Operation) -> None:
    for pointer in ("/nonsense", "/" + "x" * 1000, *(["/options/x"] if "options" in operation.body else [])):
        body = written(operation.body, pointer, "1")
        problem = refusing.refuse(operation.method, operation.path, 422, content=body)
        assert [place["pointer"] for place in problem["errors"]] == [pointer]
    surrogate = json.dumps({**operation.body, "\ud800": 1})
    assert refusing.refuse(operation.method, operation.path, 422, content=surrogate)["errors"]


@each_operation
def test_hundreds_of_unknown_fields_are_refused_as_one_mistake(
    refusing: Refusing, operation: Operation
) -> None:
    body = json.dumps({**operation.body, **{f"unknown {number}": 0 for number in range(1000)}})
    (place,) = refusing.refuse(operation.method, operation.path, 422, content=body)["errors"]
    assert "expected at most" in place["detail"]


@each_operation
def test_a_missing_field_is_named(refusing: Refusing, operation: Operation) -> None:
    for field in operation.required:
        body = {name: value for name, value in operation.body.items() if name != field}
        problem = refusing.refuse(operation.method, operation.path, 422, content=json.dumps(body))
        assert [place["pointer"] for place in problem["errors"]] == [f"/{field}"]
        assert "required" in problem["detail"]


@each_operation
@pytest.mark.parametrize("body", ["null", "true", "5", '"x"', "[]", "[{}]", r'"\ud800"', ""])
def test_a_body_that_is_no_object_is_refused(refusing: Refusing, operation: Operation, body: str) -> None:
    problem = refusing.refuse(operation.method, operation.path, 422, content=body)
    assert [place["pointer"] for place in problem["errors"]] == [""]


MALFORMED = {
    "cut short": ('{"a": 1', 1, 8),
    "nothing behind a colon": ('{"a": }', 1, 7),
    "no colon": ('{\n  "a" 1\n}', 2, 7),
    "two values": ('{"a": 1}\n{"a": 1}', 2, 1),
    "single quotes": ("{'a': 1}", 1, 2),
    "no JSON at all": ("\n\n  hello", 3, 3),
    "NUL": ("\x00", 1, 1),
    "a raw line break in a string": ('{"a": "one\ntwo"}', 1, 11),
    "an escape that is none": (r'{"a": "\x"}', 1, 8),
}


@each_operation
@pytest.mark.parametrize(("body", "line", "column"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_json_is_refused_with_line_and_column(
    refusing: Refusing, operation: Operation, body: str, line: int, column: int
) -> None:
    problem = refusing.refuse(operation.method, operation.path, 400, content=body)
    assert [place["line"] for place in problem["errors"]] == [line]
    assert f"line {line}, column {column}" in problem["detail"]


@each_operation
def test_bytes_that_are_no_text_are_refused_with_their_line(refusing: Refusing, operation: Operation) -> None:
    for body, line in ((b'{"title": "\xff"}', 1), (b'{\n"title":\n"caf\xe9"}', 3), (b"\x1f\x8b\x08\x00", 1)):
        problem = refusing.refuse(operation.method, operation.path, 400, content=body)
        assert [place["line"] for place in problem["errors"]] == [line]


@each_operation
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ("[", "")])
def test_nesting_without_end_is_refused(
    refusing: Refusing, operation: Operation, opening: str, closing: str
) -> None:
    body = opening * DEEP + "1" + closing * DEEP
    problem = refusing.refuse(operation.method, operation.path, 400, content=body)
    assert "nest too deeply" in problem["detail"]
    assert [place["pointer"] for place in problem["errors"]] == [""]


@each_operation
def test_numbers_of_thousands_of_digits_are_refused(refusing: Refusing, operation: Operation) -> None:
    for pointer in operation.bad:
        body = written(operation.body, pointer, HUGE)
        problem = refusing.refuse(operation.method, operation.path, 400, content=body)
        assert "too many digits" in problem["detail"]
        assert [place["pointer"] for place in problem["errors"]] == [""]


@each_operation
def test_long_numbers_and_deep_values_are_refused_in_every_field(
    refusing: Refusing, operation: Operation
) -> None:
    for pointer in operation.bad:
        for fragment in ("9" * 400, "-" + "9" * 4000, "[" * 80 + "]" * 80, '{"a":' * 80 + "1" + "}" * 80):
            body = written(operation.body, pointer, fragment)
            answer, problem = refusing.send(operation.method, operation.path, content=body)
            # How many epochs, or brackets of a tensor, are too many is a setting, not what they can be.
            too_many = pointer == "/epochs" and fragment.isdigit()
            too_deep = pointer.startswith("/variables/") and fragment.startswith("[")
            assert answer.status_code == (413 if too_many or too_deep else 422)
            assert problem["errors"][0]["pointer"].startswith(pointer)


def test_dimensions_other_than_the_catalogs_are_a_conflict_that_says_what_to_do(refusing: Refusing) -> None:
    body = {"vector": {"violence": 1, "language": 2, "genre": 3}}
    problem = refusing.refuse("PUT", f"{CLASS}/movies/m0", 409, content=json.dumps(body))
    assert "'positive message' is missing" in [place["detail"] for place in problem["errors"]]
    assert "'genre' is no dimension of the catalog" in [place["detail"] for place in problem["errors"]]
    assert {place["pointer"] for place in problem["errors"]} == {"/vector"}
    assert "give a number for each of these" in problem["detail"]
    assert "violence, positive message, language" in problem["detail"]
