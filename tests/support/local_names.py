"""Local names that are bare participles or pronouns, which leave open what the value is.

    python -m tests.support.local_names [PATH ...]    # app and models unless others are named

A local name is what a function binds: a parameter, an assignment, a loop, a `with`, a comprehension. A name
counts once a function. Bare means that the whole name is one such word: `known` counts, `known_ids` does not.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

PRONOUNS = frozenset(
    """
    all another any anybody anyone anything both each either everybody everyone everything he her
    him his it its itself many me mine most much neither nobody none nothing one ones other others
    own she some somebody someone something such that their theirs them these they this those us we
    what whatever which who whoever whole whom whose you
    """.split()  # noqa: SIM905 - a word list reads as one text
)
# Without those that are verbs and nouns of the field: run, set, put, split, cut, bound, called, hit, come.
IRREGULAR = frozenset(
    """
    apart become begun behind bent beside bitten bought broken brought built caught chosen dealt
    done drawn driven fallen fed felt forgotten fought found frozen given gone grown had heard held
    hidden hung hurt kept known laid led left lent lost made meant met paid said seen sent shaken
    shown shut sold sought spent stolen stood struck swept sworn taken taught thought thrown told
    torn understood woken won worn written
    """.split()  # noqa: SIM905 - a word list reads as one text
)
REGULAR = re.compile(r"[a-z]{2,}ed")
# Nouns of the field that look like participles, and pytest's own `expected`.
NOUNS = frozenset(
    """
    bed embed exceed expected feed heed need proceed red seed shed speed spread weed
    """.split()  # noqa: SIM905 - a word list reads as one text
)


def is_bare(name: str) -> bool:
    """Return whether a name is a bare participle or a bare pronoun."""
    word = name.strip("_").lower()
    if word in NOUNS or word == "self":
        return False
    return word in PRONOUNS or word in IRREGULAR or REGULAR.fullmatch(word) is not None


def local_names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield each name that a function binds, with the line of its first binding; once a function."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    for function in functions:
        first: dict[str, int] = {}
        for name, line in _bindings(function):
            first[name] = min(line, first.get(name, line))
        yield from first.items()


def _bindings(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[str, int]]:
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    named += [argument for argument in (arguments.vararg, arguments.kwarg) if argument is not None]
    for argument in named:
        if argument.arg not in {"self", "cls", "_"}:
            yield argument.arg, argument.lineno
    pending: list[ast.AST] = list(function.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue  # a function of its own, counted by itself
        if isinstance(node, ast.Lambda):
            for argument in node.args.args:
                if argument.arg != "_":
                    yield argument.arg, argument.lineno
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id != "_":
            yield node.id, node.lineno
        if isinstance(node, ast.ExceptHandler) and node.name:
            yield node.name, node.lineno
        pending.extend(ast.iter_child_nodes(node))


def count_names(paths: Iterable[Path]) -> tuple[int, list[str]]:
    """Return how many local names these files and folders have, and where those that are bare stand."""
    total, bare = 0, []
    for path in paths:
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            for name, line in local_names(ast.parse(file.read_text(encoding="utf-8"))):
                total += 1
                if is_bare(name):
                    bare.append(f"{file}:{line}: {name}")
    return total, bare


if __name__ == "__main__":
    names, places = count_names(map(Path, sys.argv[1:] or ["app", "models"]))
    share = len(places) / max(1, names)
    print(*places, f"{len(places)} of {names} local names ({share:.1%}) are bare", sep="\n")  # noqa: T201
