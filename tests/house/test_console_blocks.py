"""Console blocks: commands of several lines, and how far what is printed may differ from what is shown."""

import pytest

from tests.support.console import Command, commands, comparable, with_outputs

PAGE = """
$ not a command
```console
$ one
1
$ python3 -c 'if True:
>     print(2)
>
>     print(3)'
2

3
$ silent
```
> a quotation
```console
$ another block
```
"""


def test_a_command_has_all_its_lines_and_none_of_its_prompts() -> None:
    assert commands(PAGE) == [
        Command("one", "1"),
        Command("python3 -c 'if True:\n    print(2)\n\n    print(3)'", "2\n\n3"),
        Command("silent", ""),
        Command("another block", ""),
    ]


def test_only_the_outputs_that_differ_are_written_anew() -> None:
    printed = {"one": "1", "silent": "loud", "another block": ""}
    written = with_outputs(PAGE, lambda command: printed.get(command.line, "5"))
    assert written == PAGE.replace("2\n\n3\n", "5\n").replace("$ silent\n", "$ silent\nloud\n")
    assert with_outputs(PAGE, lambda command: command.output) == PAGE


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
