"""The command line: what it prints, and that every error is one clear line and a non-zero exit."""

import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert

from app.database.tables import Movie
from app.database.urls import open_database
from app.scoring.model_cache import TrainedModels
from app.scoring.responses import delete_response
from app.training.trainings import create_training
from app.web.auth.tokens import make_token, read_token
from testbed.databases import url_for
from tests.support.command_line import Run

DESCENT = ("--trainer", "gradient_descent")


def test_the_demo_prints_the_published_table_also_the_second_time(likely: Run) -> None:
    likely("demo")
    again = likely("demo")
    assert again.status == 0
    for row in ("0    │ 0.70 │ 0.52 │ 0.47", "1    │ 0.29 │ 0.84 │ 0.13", "2    │ 0.28 │ 0.15 │ 0.87"):
        assert row in again.out
    assert "training" not in again.out, "the second run trains nothing"


def test_the_demo_leaves_a_catalog_called_class_as_it_is(likely: Run) -> None:
    likely("demo")
    retrained = likely("train", "class", *DESCENT, "--seed", "1", "--epochs", "5")
    assert retrained.out.startswith("training 2 of class succeeded after 5 steps: loss ")
    assert "training" not in likely("demo").out
    assert "0.70 │ 0.52 │ 0.47" not in likely("demo").out


def test_a_training_is_not_stuck_behind_one_that_nobody_runs(likely: Run, tmp_path: Path) -> None:
    likely("demo")
    database = open_database(url_for(tmp_path))
    with database.writing() as connection:
        create_training(connection, "class", "gradient_descent", {"epochs": 3}, 1, serve=True)
    database.close()
    done = likely("train", "class", *DESCENT, "--epochs", "5", "--seed", "1")
    assert done.out.startswith("training 3 of class succeeded after 5 steps: loss ")


def test_scores_are_printed_best_first_or_as_asked(likely: Run) -> None:
    likely("demo")
    best = likely("scores", "1").out
    assert best.index("m1") < best.index("m0") < best.index("m2")
    assert "0.8406" in best
    asked = likely("scores", "1", "--movie", "m2").out
    assert "m2" in asked
    assert "m1" not in asked


def test_scores_keep_to_the_configured_memory_of_a_catalog(
    likely: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    likely("demo")
    database = open_database(url_for(tmp_path))
    movies = [{"catalog_id": 1, "movie": f"x{n}", "title": "", "vector": bytes(12)} for n in range(2000)]
    with database.writing() as connection:
        connection.execute(insert(Movie), movies)
    database.close()
    monkeypatch.setenv("LIKELY_CATALOG_MEMORY_BYTES", str(2**20))
    for command in (("scores", "1"), ("demo",)):
        refused = likely(*command)
        assert refused.status == 1
        assert "LIKELY_CATALOG_MEMORY_BYTES allows 1,048,576" in refused.err


@pytest.mark.sqlite  # what is wrong is wrong in either, and each costs seconds
@pytest.mark.parametrize(
    ("arguments", "environment", "sentence"),
    [
        (["scores", "nobody"], {}, "likely: nothing is known of user 'nobody' in catalog 'class'"),
        (["scores", "0", "--catalog", "nope"], {}, "likely: there is no catalog 'nope'"),
        (["scores", "0", "--movie", "m9"], {}, "likely: there is no movie 'm9' in catalog 'class'"),
        (["train", "nope"], {}, "likely: there is no catalog 'nope'"),
        (
            ["train", "class", *DESCENT, "--epochs", "0"],
            {},
            "likely: epochs: expected a number from 1 to 100,000",
        ),
        (
            ["train", "class", "--epochs", "5"],
            {},
            "likely: --epochs is an option of gradient_descent, not of mixed_effects",
        ),
        (["train", "class", "--if-better"], {}, "likely: --if-better compares scores of responses held out"),
        (["train", "class", "--no-serve", "--if-better", "--last-n", "1"], {}, "likely: --no-serve and --if"),
        (["train", "class", "--by", "seed"], {}, "likely: --by says which responses are held out"),
        (["evaluate", "class", "--fraction", "0.2", "--last-n", "2"], {}, "likely: --fraction and --last-n"),
        (["evaluate", "class", "--fraction", "2"], {}, "likely: fraction: expected a number above 0 to 0.9"),
        (["evaluate", "nope"], {}, "likely: there is no catalog 'nope'"),
        (["evaluate", "class", "--fraction", "0.1"], {}, "likely: the holdout holds out nothing"),
        (["import", "movielens", ".", "--catalog", "a/b"], {}, "likely: 'a/b' is no id for a catalog"),
        (["import", "movielens", "/no/such/folder"], {}, "likely: /no/such/folder is no folder"),
        (
            ["migrate"],
            {"LIKELY_DATABASE_URL": "sqlite:////no/such/x.db"},
            "likely: the folder /no/such does not",
        ),
        (["migrate"], {"LIKELY_DATABASE_URL": "nonsense"}, "likely: 'nonsense' is no database URL"),
        (["serve"], {"LIKELY_PORT": "eighty"}, "likely: LIKELY_PORT: Input should be a valid integer"),
        (["serve"], {"LIKELY_LOG_LEVEL": "loud"}, "likely: LIKELY_LOG_LEVEL: "),
        (["serve"], {"LIKELY_HOST": "0.0.0.0"}, "likely: '0.0.0.0' is no loopback address and there are no"),  # noqa: S104
        (["keys", "revoke", "nothing"], {}, "likely: there is no key 'nothing'; `likely keys list` shows"),
        (["keys", "create", "--scope", "read", "--label", ""], {}, "likely: --label: expected 1 to 500"),
    ],
)
def test_an_error_is_one_clear_line_and_a_non_zero_exit(
    likely: Run, arguments: list[str], environment: dict[str, str], sentence: str
) -> None:
    likely("demo")
    done = likely(*arguments, **environment)
    assert done.status == 1
    assert done.out == ""
    [line] = done.err.splitlines()
    assert line.startswith(sentence)


@pytest.mark.sqlite
def test_a_file_that_is_no_database_is_said_so(likely: Run, tmp_path: Path) -> None:
    (tmp_path / "likely.db").write_text("I am a letter, and quite a long one. " * 100)
    done = likely("migrate")
    assert (done.status, done.err) == (
        1,
        "likely: the database cannot be used: file is not a database\n",
    )


def test_a_port_in_use_is_said_so(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        process = subprocess.run(
            [sys.executable, "-m", "app.cli.main", "serve", "--port", str(listener.getsockname()[1])],
            env={**os.environ, "LIKELY_DATABASE_URL": url_for(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert process.returncode != 0
    assert "address already in use" in process.stderr
    assert "Traceback" not in process.stderr


def test_a_training_says_what_it_scored_on_what_it_held_out(likely: Run) -> None:
    likely("demo")
    done = likely("train", "class", "--last-n", "1", "--by", "seed", "--if-better", "--seed", "1")
    assert done.status == 0
    first, second, third = done.out.splitlines()
    assert first.startswith("training 2 of class succeeded after")
    assert second.startswith("on 3 responses held out: AUC ")
    assert third.startswith("it ")
    assert "compared with training 1, which has log loss" in third


def test_evaluating_prints_a_table_and_a_reliability_diagram_and_stores_nothing(likely: Run) -> None:
    likely("demo")
    done = likely("evaluate", "class", *DESCENT, "--trainer", "mixed_effects", "--last-n", "1")
    assert done.status == 0
    lines = done.out.splitlines()
    assert lines[0] == "3 responses held out"
    assert "gradient_descent │ mixed_effects │ the movie's mean" in lines[2].replace("┃", "│")
    for measure in ("AUC", "log loss", "Brier score", "calibration error", "NDCG@10"):
        [row] = [line for line in lines if line.startswith(f"│ {measure} ")]
        assert row.count("0.") + row.count("1.") + row.count("none") >= 3
    assert "reliability of gradient_descent" in done.out
    assert likely("train", "class", *DESCENT, "--epochs", "5").out.startswith("training 2 of class")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["sreve"], "likely: No such command 'sreve'."),
        (["train"], "likely: Missing argument 'catalog'."),
        (["train", "class", "--trainer", "foo"], "likely: Invalid value for '--trainer'"),
        (["train", "class", "--loss", "foo"], "likely: Invalid value for '--loss'"),
        (["train", "class", "--seed", "9" * 30], "likely: Invalid value for '--seed'"),
        (["serve", "--port", "abc"], "likely: Invalid value for '--port'"),
        (["keys", "create", "--label", "x"], "likely: Missing option '--scope'."),
        (["keys", "create", "--label", "x", "--scope", "all"], "likely: Invalid value for '--scope'"),
    ],
)
def test_a_wrong_command_is_one_line_too(likely: Run, arguments: list[str], sentence: str) -> None:
    done = likely(*arguments)
    assert (done.status, done.out) == (2, "")
    [line] = done.err.splitlines()
    assert line.startswith(sentence)
    assert "--help" in line


def test_help_lists_the_commands(likely: Run) -> None:
    help_page = likely("--help").out
    for command in (
        *("serve", "worker", "migrate", "demo", "import", "keys", "train", "evaluate", "scores"),
        *("backup", "restore", "verify"),
    ):
        assert f"│ {command} " in help_page


def test_a_database_of_another_version_is_said_so(likely: Run, tmp_path: Path) -> None:
    likely("migrate")
    database = open_database(url_for(tmp_path))
    with database.engine.connect() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    database.close()
    done = likely("migrate")
    assert done.status == 1
    [line] = done.err.splitlines()
    assert "was written by another version of Likely" in line


def test_the_demo_works_when_somebody_took_all_answers_back(likely: Run, tmp_path: Path) -> None:
    likely("demo")
    database = open_database(url_for(tmp_path))
    for movie in ("m0", "m1", "m2"):
        with database.writing() as connection:
            delete_response(connection, TrainedModels(), "class", "0", movie)
    database.close()
    done = likely("demo")
    assert done.status == 0
    assert "1    │ 0.29 │ 0.84 │ 0.13" in done.out


def test_a_key_is_printed_once_and_by_itself(likely: Run) -> None:
    made = likely("keys", "create", "--scope", "read", "--scope", "compute", "--label", "class [1]")
    assert (made.status, made.err) == (0, "")
    token = read_token(made.out.removesuffix("\n"))
    assert token is not None
    listed = likely("keys", "list").out
    assert "class [1]" in listed
    assert "read, compute" in listed
    assert "valid" in listed
    assert token.key in listed
    assert made.out[16:40] not in listed
    assert likely("keys", "revoke", token.key).out == f"{token.key} is revoked\n"
    assert "revoked" in likely("keys", "list").out


def test_a_key_may_expire(likely: Run) -> None:
    assert likely("keys", "create", "--scope", "admin", "--label", "x", "--expires-days", "30").status == 0
    expires = datetime.now(UTC) + timedelta(days=30)
    assert f"{expires:%Y-%m-%d}" in likely("keys", "list").out


def test_a_key_in_a_wrong_place_is_not_repeated(likely: Run) -> None:
    text = make_token()
    for arguments in (
        ["keys", "revoke", text],
        ["keys", "create", text, "--label", "x", "--scope", "read"],
        [text],
    ):
        done = likely(*arguments)
        assert done.status > 0
        assert text[16:40] not in done.out + done.err
        assert text[7:15] in done.err
