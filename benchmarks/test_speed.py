"""The table of docs/benchmarks.md: what is met, what is not, and what was never measured.

How fast anything is, `make bench` measures; what must stay fast is held by counts in the tests of each part.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.cli.demo import CATALOG
from app.database.prepared_statements import Prepared, PreparedReads
from app.database.urls import open_database
from app.main import create_app
from app.scoring import fast_scores
from app.settings import Settings
from app.training.worker import Worker
from benchmarks.machine import LOAD
from benchmarks.speed import __main__ as run
from benchmarks.speed import empty_route
from benchmarks.speed.client import Client
from benchmarks.speed.document import Run, lines_table, runs_table
from benchmarks.speed.lines import Goal, Line, middle, missing
from benchmarks.speed.load import Load
from benchmarks.speed.serving import recommendations
from benchmarks.speed.serving.imports import Peaks
from benchmarks.speed.training import growth
from benchmarks.speed.training.growth import Growth, slopes
from testbed.live import descendants_of
from testbed.running import store_class

FASTER = Goal("at least", 40, "times faster")
HERE = {"processor": "2 cores", "Python": "3.11.7", "torch": "1", LOAD: "a load of 1.9"}
THERE = {"processor": "16 cores", "Python": "3.11.7", "torch": "2", LOAD: "a load of 0.2"}
LONGER = Goal("at most", 1.5, "times its time")


@pytest.mark.parametrize(
    ("goal", "ratios", "met"),
    [
        (FASTER, [39.0, 41.0, 50.0], True),
        (FASTER, [39.0, 39.5, 50.0], False),
        (FASTER, [40.0], True),
        (LONGER, [1.4, 1.5, 9.0], True),
        (LONGER, [1.51], False),
        (FASTER, [], False),
        (None, [2.0], None),
    ],
)
def test_the_middle_ratio_meets_the_goal_or_not(
    goal: Goal | None,
    ratios: list[float],
    met: bool | None,  # noqa: FBT001 - what is expected
) -> None:
    assert Line("work", "peer", goal, ratios, "").met is met


def test_a_peer_that_is_missing_leaves_its_line_empty_and_unmet() -> None:
    line = missing("recommendations", "LitServe", FASTER, "it is not installed")
    assert (line.ratio, line.met) == (None, False)
    assert lines_table([("recommendations", line)]).splitlines()[2:] == [
        "| 1 | recommendations | - | ≥ 40 times faster | **no** |",
        "",
        "1. recommendations, compared with LitServe: not measured: it is not installed",
    ]


def test_the_table_shows_the_ratio_with_its_spread() -> None:
    lines = [Line("a", "b", FASTER, [40.0, 60.0, 50.0], "1 s"), Line("c", "d", None, [2.0], "")]
    assert lines_table([("first", lines[0]), ("second", lines[1])]).splitlines()[2:] == [
        "| 1 | first | 50 (40 to 60) | ≥ 40 times faster | yes |",
        "| 2 | second | 2 |  |  |",
        "",
        "1. a, compared with b: 1 s",
        "2. c, compared with d",
    ]


def test_behind_a_ratio_stands_the_run_that_had_it_and_not_the_one_in_the_middle_of_time() -> None:
    assert middle(["first", "second", "third"], [3.0, 9.0, 1.0]) == "first"
    assert middle(["first", "second", "third", "fourth"], [4.0, 1.0, 3.0, 2.0]) == "fourth"


def test_a_peer_that_fails_empties_its_own_line_and_no_other() -> None:
    loads = {"likely": Load(100, 1, 2), recommendations.EMPTY: Load(200, 1, 2)}
    runs = [{**loads, recommendations.HANDLER: Load(50, 1, 2)}, loads]
    faults = {recommendations.HANDLER: "2 of 3 requests failed"}
    empty, handler, alone, litserve = recommendations.lines("work", runs, faults)
    assert (empty.ratios, empty.failed) == ([0.5, 0.5], False)
    assert (handler.ratios, handler.failed, handler.met) == ([], True, False)
    assert handler.said == "not measured: 2 of 3 requests failed"
    assert all((item.ratios, item.failed, item.met) == ([], False, False) for item in (alone, litserve))


def test_a_group_that_breaks_keeps_its_lines_and_says_that_others_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_group: str, _movielens: Path) -> Iterator[Line]:
        yield Line("work", "peer", None, [2.0], "1 s")
        raise SystemExit("an answer was wrong")

    monkeypatch.setattr(run, "RESULTS", tmp_path)
    monkeypatch.setattr(run, "measure", broken)
    with pytest.raises(SystemExit):
        run.measure_one(tmp_path, "scores")
    run.say_what_is_missing("scores", 1)
    kept = run.Measured.read("scores")
    assert kept is not None
    assert [(line.work, line.met) for line in kept.lines] == [("work", None), ("all other rows", False)]
    assert kept.lines[1].said == "not measured: the group ended with exit status 1"


def test_a_group_whose_peer_failed_ends_with_an_error_and_says_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [missing("work", "peer", FASTER, "not ready", failed=True), Line("w", "p", None, [2.0], "")]
    monkeypatch.setattr(run, "RESULTS", tmp_path)
    monkeypatch.setattr(run, "measure", lambda *_: iter(lines))
    assert not run.measure_one(tmp_path, "scores")
    run.say_what_is_missing("scores", 1)
    kept = run.Measured.read("scores")
    assert kept is not None
    assert kept.lines == lines


def test_the_load_is_that_before_the_group_and_not_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = iter(["before", "after"])

    def measured(_group: str, _movielens: Path) -> Iterator[Line]:
        kept = json.loads((tmp_path / "scores.json").read_text())
        assert kept["machine"] == {"other work": "before"}
        yield Line("work", "peer", None, [2.0], "1 s")

    monkeypatch.setattr(run, "RESULTS", tmp_path)
    monkeypatch.setattr(run, "measure", measured)
    monkeypatch.setattr(run, "machine", lambda: {"other work": next(loads)})
    assert run.measure_one(tmp_path, "scores")
    kept = run.Measured.read("scores")
    assert kept is not None
    assert kept.machine == {"other work": "before"}
    assert next(loads) == "after"


def test_what_was_measured_on_another_machine_is_kept_where_nothing_can_be(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(run, "RESULTS", tmp_path)
    there = run.Measured("device", THERE, 58.0, [Line("it", "other", LONGER, [1.0], "2 s")])
    here = run.Measured("device", HERE, 1.0, [missing("all rows", "other", LONGER, "there is none")])
    anew = run.Measured("device", HERE, 60.0, [Line("it", "other", LONGER, [1.2], "3 s")])
    for now, kept in ((here, there), (anew, anew)):
        now.save()
        run.keep_what_was_measured(there)
        assert run.Measured.read("device") == kept


def test_each_group_says_when_and_beside_what_it_was_measured() -> None:
    runs = [
        Run("scores", "2026-11-26 01:45", "a load of 1.9", 67.4),
        Run("device", "2026-11-26 02:45", "a load of 0.2", 58.2, run.elsewhere(THERE, HERE)),
    ]
    assert runs_table(runs).splitlines()[2:] == [
        "| scores | 2026-11-26 01:45 | a load of 1.9 | 67 s |",
        "| device | 2026-11-26 02:45 | a load of 0.2 | 58 s |",
        "",
        "- device ran elsewhere: processor 16 cores, torch 2",
    ]


def test_the_slope_of_times_that_grow_as_a_power_is_the_power() -> None:
    def took(responses: int, power: float) -> Growth:
        return Growth(responses, 1, 4, "", 0.0, responses**power, 0.0, 0, 1.0)

    sizes = [10, 100, 1000]
    assert slopes([[took(size, 1.5)] for size in sizes]) == pytest.approx([1.5])
    often = [[took(10, 1.0), took(10, 1.0)], [took(100, 1.0), took(100, 1.0)], [took(1000, 1.0)]]
    assert slopes(often) == pytest.approx([1.0, 1.0])


def test_all_sizes_are_learned_for_as_many_steps_and_the_largest_once_more_to_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[int, list[int]]] = []

    def measured(count: int, steps: list[int]) -> list[Growth]:
        asked.append((count, steps))
        return [Growth(count, 1, step, "", 1.0, float(count), 1.0, 1, 0.9) for step in steps]

    monkeypatch.setattr(growth, "_measured", measured)
    slope, to_the_end, _memory = growth.measure(Path())
    assert asked[-1] == (20_000_000, [4, 200])
    assert {steps for _, several in asked[:-1] for steps in several} == {4}
    assert slope.ratio == pytest.approx(1.0)
    assert "processor time" in slope.said
    assert "200 steps" in to_the_end.said


def test_the_memory_of_a_process_counts_what_its_descendants_had_before_they_ended() -> None:
    child = "x = b'x' * (64 * 2**20); print(len(x), flush=True); input()"
    parent = f"import subprocess, sys; input(); subprocess.run([sys.executable, '-c', {child!r}]); input()"
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with Peaks(process.pid) as peaks:
            process.stdin.write("begin\n")
            process.stdout.readline()
            assert len(descendants_of(process.pid)) == 1
            deadline = time.monotonic() + 60
            while peaks.taken < 64 * 2**20 and time.monotonic() < deadline:
                time.sleep(0.01)
            process.stdin.write("end the child\n")
            while descendants_of(process.pid) and time.monotonic() < deadline:
                time.sleep(0.01)
        assert peaks.taken >= 64 * 2**20
        process.stdin.write("end\n")


class _Peer(BaseHTTPRequestHandler):
    """Answers with what it was sent, as the path says: the same, in error, too late, without its length."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/late":
            time.sleep(0.4)
        if self.path == "/closed":
            self.close_connection = True
            return
        self.send_response(404 if self.path == "/not-found" else 200)
        if self.path != "/no-length":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:7])
        self.wfile.flush()
        self.wfile.write(body[7:])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def asking() -> Iterator[Client]:
    """A client of such a peer, which waits for a fifth of a second."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Peer) as peer:
        serving = threading.Thread(target=peer.serve_forever)
        serving.start()
        with Client(f"http://127.0.0.1:{peer.server_port}", seconds=0.2) as client:
            yield client
        peer.shutdown()
        serving.join()


def test_the_client_reads_answers_that_come_in_parts(asking: Client) -> None:
    for size in (1, 8, 300_000):
        assert asking.read("POST", "/same", b"x" * size, "text/plain") == b"x" * size
    assert asking.ask("POST", "/same", {"scores": [0.5]}) == {"scores": [0.5]}


@pytest.mark.parametrize("path", ["/not-found", "/late", "/closed", "/no-length"])
def test_the_client_goes_on_with_the_next_answer_after_one_that_it_could_not_take(
    asking: Client, path: str
) -> None:
    with pytest.raises((RuntimeError, TimeoutError)):
        asking.ask("POST", path, [1])
    time.sleep(0.5)  # until what was late has come
    assert asking.ask("POST", "/same", [2]) == [2]


def test_the_forgetful_application_reads_each_user_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_class(str(tmp_path))
    settings = Settings(database_url=f"sqlite:///{tmp_path}/likely.db")
    database = open_database(settings.database_url)
    path = f"/v1/catalogs/{CATALOG}"
    monkeypatch.setattr(fast_scores, "_CACHED_BYTES", 1)  # set back at the test's end
    monkeypatch.setattr(empty_route, "create_app", FastAPI)
    empty_route.create_forgetful_app()
    asked: list[Prepared] = []
    read = PreparedReads.rows

    def counted(self: PreparedReads, prepared: Prepared, parameters: dict[str, object]) -> Any:  # noqa: ANN401 - rows
        asked.append(prepared)
        return read(self, prepared, parameters)

    with TestClient(create_app(settings), base_url="http://localhost") as client:
        body = {"trainer": "gradient_descent", "options": {"epochs": 30}}
        assert client.post(f"{path}/trainings", json=body).is_success
        assert Worker(database, settings, name="test").run_next()
        client.get(f"{path}/users/0/scores")
        monkeypatch.setattr(PreparedReads, "rows", counted)
        for _ in range(3):
            assert client.get(f"{path}/users/0/scores?movie=m0").is_success
    database.close()
    assert len(asked) == 6
