"""A part of the harnesses that send hostile requests, hang up and overload; docs/track-record.md has all."""

import asyncio
import re
from contextlib import suppress

import pytest

from tests.faults.defects.defect import part
from tests.faults.figures import Figure
from tests.faults.harnesses import disconnects, hostile, overload
from tests.faults.hostile_requests import REQUESTS

ENOUGH = 150


@pytest.mark.faults
def test_hostile_requests_are_never_a_fault_of_the_service() -> None:
    faults, *_ = hostile.ask_every_operation(
        part(0.02)
    )  # how long they take, and memory, need quiet and many
    assert faults.held, faults.found
    assert len(REQUESTS) >= ENOUGH


@pytest.mark.faults
def test_clients_that_read_nothing_fill_no_memory_and_keep_nobody_waiting() -> None:
    for figure in hostile.without_reading():
        assert figure.held, figure


@pytest.mark.faults
def test_clients_that_disconnect_leave_nothing_behind() -> None:
    for figure in disconnects.run(part(0.012)):
        assert figure.held, figure


@pytest.mark.faults
def test_overload_is_refused_with_a_time_to_come_back_and_the_rest_is_served() -> None:
    figures = overload.run(part(0.01), places=4)  # times and shares are for a machine at rest
    for refusals, served in zip(figures[1::4], figures[2::4], strict=True):
        assert _number(r"^the ([\d,]+) refusals", refusals.what) > 0
        assert _number(r"([\d,]+) without Retry-After", refusals.found) == 0
        assert served.held, served


def _number(pattern: str, text: str) -> int:
    match = re.search(pattern, text)
    assert match is not None, text
    return int(match[1].replace(",", ""))


def test_a_service_that_disconnects_or_lets_wait_does_not_serve_what_it_accepted() -> None:
    """Held against servers that are known to be wrong: every third answer is lost, or comes late."""
    for answer, said in ((b"", "lost"), (_answer(503, b"the database was busy for 5 s"), "503 after a wait")):
        [_, refusals, served, _] = asyncio.run(_overload(answer))
        assert not served.held
        assert _number(rf"'{said}': ([\d,]+)", served.found) > 1
        assert not refusals.held, "there were none"


def test_an_answer_under_way_at_the_end_is_not_lost() -> None:
    [_, _, served, _] = asyncio.run(_overload(None))
    assert served.held, served


def _answer(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)


async def _overload(third: bytes | None) -> list[Figure]:
    """Overload a server that answers every third request like this: never if None, by hanging up if empty."""
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        with suppress(ConnectionError, asyncio.CancelledError):
            while await reader.readline():
                await reader.readline()
                asked += 1
                answer = _answer(200, b"{}") if asked % 3 else third
                if answer == b"":
                    break
                writer.write(answer or b"")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    seen = await overload.offer(url, [b"GET / HTTP/1.1\r\n\r\n"], rate=300, seconds=0.5)
    server.close()
    await asyncio.sleep(0.05)
    return overload.judge("any", peak=60, seen=seen, seconds=0.5, recovered=0.0)
