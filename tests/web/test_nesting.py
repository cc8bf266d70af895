"""How deeply brackets nest: as a reader of JSON finds it, for every text that is JSON."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.web.limits import nests_deeper

TEXTS = st.text(alphabet='[]{}"\\a,:')
VALUES = st.recursive(TEXTS | st.none(), lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner))


def depth(value: object) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@settings(deadline=None)
@given(VALUES, st.integers(0, 5))
def test_brackets_in_strings_do_not_count(value: object, limit: int) -> None:
    assert nests_deeper(json.dumps(value).encode(), limit) == (depth(value) > limit)


@settings(deadline=None)
@given(
    VALUES, st.integers(0, 5), st.sampled_from(["utf-16-le", "utf-16-be", "utf-16", "utf-32-le", "utf-32"])
)
def test_brackets_count_in_whatever_encoding_a_parser_takes(value: object, limit: int, encoding: str) -> None:
    text = json.dumps(value, ensure_ascii=False).encode(encoding, "surrogatepass")
    assert nests_deeper(text, limit) == (depth(value) > limit)


def test_a_letter_that_has_the_byte_of_a_quotation_mark_hides_no_bracket() -> None:
    assert nests_deeper(('["\u2230",' + "[" * 200 + "]" * 200 + "]").encode("utf-16-le"), 100)


@pytest.mark.parametrize("text", [b"[" * 9, b"[]" * 9, b"]" * 9, b'"' + b"[" * 9, b'"\\"' * 9, b""])
def test_what_is_no_json_is_measured_too(text: bytes) -> None:
    assert nests_deeper(text, 8) == (text.count(b"[" * 9) > 0 and not text.startswith(b'"'))


@pytest.mark.parametrize("piece", [b"[", b"]", b"[]", b'"', b'\\"', b'"\\', b"[" * 64 + b"]" * 64, b'["]",'])
def test_no_text_takes_long(piece: bytes) -> None:
    began = time.process_time()
    nests_deeper(b'"[' * 9 + piece * (4 * 2**20 // len(piece)), 8)
    assert time.process_time() - began < 5, "some texts take more than linear time: hours for these"
