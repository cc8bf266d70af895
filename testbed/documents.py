"""Documents whose tables a run writes anew; the prose between them stays.

A table stands between `<!-- table NAME -->` and `<!-- end -->`, or a list where its lines would be too long.
Does not know what the tables hold.
"""

import re
import textwrap
from collections.abc import Iterable, Mapping

WIDTH = 120  # of a line, in characters


def replaced(text: str, tables: Mapping[str, str]) -> str:
    """Return the text with each table between its marks. Raises `ValueError` for one without its marks."""
    for name, table in tables.items():
        marks = re.compile(rf"(<!-- table {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        places = list(marks.finditer(text))
        if len(places) != 1:
            raise ValueError(f"the document needs one place for the table {name}")
        begin, end = places[0].end(1), places[0].start(2)
        text = f"{text[:begin]}\n{table}\n{text[end:]}"
    return text


def item(text: str, bullet: str = "- ") -> str:
    """Return an item of a list in lines of at most `WIDTH` characters."""
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=bullet,
        subsequent_indent=" " * len(bullet),
        break_long_words=False,
        break_on_hyphens=False,
    )


def table(heads: list[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table whose columns stand to the right where they have no words."""
    cells = [list(row) for row in rows]
    marks = [
        "---" if any(map(str.isalpha, "".join(column))) else "---:" for column in zip(*cells, strict=True)
    ]
    lines = [heads, marks, *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
