"""Commands of a page, with their answers, and how far what is printed may differ from what is shown."""

import json

import pytest

from tests.support.documents.console import WIDTH, Command, commands, comparable, laid_out, with_outputs

PAGE = """
```sh
one
```

```text
1
```

```sh
# a comment
silent
python3 -c 'if True:
    print(2)

    print(3)' \\
  --more
```

```json
{"answer": 2}
```

<!-- not executed: it needs another machine -->
```sh
elsewhere
```

```text
its answer
```

```sh
without an answer
```

What somebody else says:

```text
4
```
"""


def test_a_command_has_all_its_lines_and_the_last_of_a_block_has_the_answer() -> None:
    assert commands(PAGE) == [
        Command("one", "1"),
        Command("silent", ""),
        Command("python3 -c 'if True:\n    print(2)\n\n    print(3)' \\\n  --more", '{"answer": 2}'),
        Command("without an answer", ""),
    ]


def test_a_quotation_without_an_end_is_an_error() -> None:
    with pytest.raises(ValueError, match="no end"):
        commands("```sh\necho 'one\n```\n")


def test_only_the_answers_that_differ_are_written_anew() -> None:
    assert with_outputs(PAGE, lambda command: command.output) == PAGE
    printed = {"one": "5", "silent": "loud"}
    written = with_outputs(PAGE, lambda command: printed.get(command.line, '{"answer":2}'))
    assert written == PAGE.replace("```text\n1\n", "```text\n5\n")


def test_json_is_laid_out_in_lines_that_fit_and_means_the_same() -> None:
    value = {
        "numbers": [n / 7 for n in range(40)],
        "rows": [{"name": f"row {n}", "value": 1.5e-8} for n in range(9)],
        "words": "a b",
    }
    text = json.dumps(value, separators=(",", ":"))
    shown = laid_out(text)
    assert max(map(len, shown.splitlines())) <= WIDTH
    assert json.loads(shown) == value
    assert comparable(shown) == comparable(text)
    assert comparable(shown) != comparable(text.replace("a b", "ab"))
    assert laid_out("plain text " * 20) == "plain text " * 20
    assert laid_out('{"short":1}') == '{"short":1}'


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("0.70221343", "0.70221391", True),
        ("0.70221343", "0.70231343", False),
        ("0.00012345678", "0.00012355678", False),
        ("8.7422776e-8", "8.7422777e-8", True),
        ("8.7422776e-8", "8.7422776e-9", False),
        ("5.2000", "5.2001", False),
        ('{"at": "2026-11-24T11:39:23Z"}', '{"at": "2026-11-25T01:00:00Z"}', True),
        ('"request_id": "04a8"', '"request_id":"ffff"', True),
    ],
)
def test_five_digits_count_and_what_changes_from_run_to_run_does_not(
    left: str,
    right: str,
    same: bool,  # noqa: FBT001 - a case of the table
) -> None:
    assert (comparable(left) == comparable(right)) is same
