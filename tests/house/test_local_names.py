"""A local name says what its value is: few are bare participles or pronouns."""

import ast

import pytest

from tests.support.documents.checkout import ROOT
from tests.support.local_names import count_names, is_bare, local_names

# The share that a part of the source may have, where one in ten was the habit.
AT_MOST = {"app": 0.02, "models": 0.02}


@pytest.mark.parametrize("part", AT_MOST)
def test_hardly_a_local_name_is_a_bare_participle_or_pronoun(part: str) -> None:
    total, places = count_names([ROOT / part])
    assert len(places) <= AT_MOST[part] * total, "\n".join(places)


@pytest.mark.parametrize("name", ["found", "_kept", "one", "each", "asked", "its", "everything"])
def test_a_participle_or_a_pronoun_is_bare(name: str) -> None:
    assert is_bare(name)


@pytest.mark.parametrize("name", ["known_ids", "rows", "expected", "seed", "run", "self", "embed", "user"])
def test_a_noun_is_not_and_neither_is_a_participle_that_qualifies_one(name: str) -> None:
    assert not is_bare(name)


def test_every_way_to_bind_a_name_in_a_function_counts_once() -> None:
    source = """
def outer(a, *b, c=1, **d):
    e = e = 1
    for f, (g, _) in h:
        with i as j:
            pass
    k = [m for m in range(3)]
    n = lambda o: o
    def inner(p):
        q = p
    try:
        r: int = 1
    except ValueError as s:
        pass
    if (t := 1):
        self.u = 2
v = 1
"""
    assert "".join(sorted(name for name, _ in local_names(ast.parse(source)))) == "abcdefgjkmnopqrst"
