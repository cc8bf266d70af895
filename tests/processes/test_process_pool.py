"""A pool of processes: hung up on, killed or closed, it answers who still waits, and leaves none behind."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress

import pytest

from app.errors import OverBudget, Overloaded, SwitchedOff
from app.processes.pool import ProcessPool, Program
from testbed.live import children_of, command_of
from tests.support.doubling import Doubling
from tests.support.pools import tell_in

Pool = ProcessPool[Doubling]
Story = Callable[[Pool], Coroutine[None, None, None]]

LONG = Doubling(number=1, seconds=60)
PROGRAM = Program(
    module="tests.support.doubling",
    argument="",
    name="doubling",
    task="a doubling",
    lost=OverBudget,
    off="doubling is switched off here",
)


def processes() -> set[int]:
    """The processes of the pool that still run (Linux)."""
    return {child for child in children_of(os.getpid()) if PROGRAM.module in command_of(child)}


def tell(story: Story, *, number: int = 1, waiting: int = 64, seconds: float = 60) -> None:
    """Run a story with a pool of its own, and see that the pool leaves no process behind."""
    tell_in(Pool(PROGRAM, number, waiting, seconds), story)
    assert not processes()


def test_a_task_over_its_time_is_ended_and_the_next_one_is_answered() -> None:
    async def story(pool: Pool) -> None:
        assert await pool.run(Doubling(number=1)) == b"2"
        first = processes()
        began = time.monotonic()
        with pytest.raises(OverBudget, match=r"0\.5 seconds that a doubling has"):
            await pool.run(LONG)
        assert time.monotonic() - began < 10  # how fast it is stands in benchmarks/compute.py
        assert await pool.run(Doubling(number=2)) == b"4"
        assert not processes() & first

    tell(story, seconds=0.5)


def test_a_fault_of_the_program_itself_is_no_refusal_and_its_process_is_replaced() -> None:
    async def story(pool: Pool) -> None:
        with pytest.raises(RuntimeError, match="status 1"):
            await pool.run(Doubling(number=1, seconds=-1))
        assert await pool.run(Doubling(number=2)) == b"4"

    tell(story)


def test_a_task_whose_caller_disconnects_is_killed() -> None:
    async def story(pool: Pool) -> None:
        assert await pool.run(Doubling(number=1)) == b"2"
        (worker,) = processes()
        computing, other = (asyncio.create_task(pool.run(LONG)) for _ in range(2))
        await asyncio.sleep(0.2)
        assert (pool.slots, pool.busy, pool.waiting) == (1, 1, 1)
        other.cancel()
        computing.cancel()
        with suppress(asyncio.CancelledError):
            await computing
        await asyncio.sleep(0)
        assert (pool.busy, pool.waiting) == (0, 0)
        assert await pool.run(Doubling(number=2)) == b"4"
        assert worker not in processes()

    tell(story)


def test_a_short_task_whose_caller_disconnects_costs_no_process() -> None:
    async def story(pool: Pool) -> None:
        assert await pool.run(Doubling(number=1)) == b"2"
        before = processes()
        for number in range(40):  # at any moment: before it is taken, in the middle, between head and body
            left = asyncio.create_task(pool.run(Doubling(number=number, seconds=0.002)))
            await asyncio.sleep(number / 8000)
            left.cancel()
            assert await pool.run(Doubling(number=number)) == str(2 * number).encode()
        assert processes() == before

    tell(story)


@pytest.mark.parametrize("turns", [0, 1, 2])
def test_a_caller_that_disconnects_as_the_pool_closes_leaves_no_process(turns: int) -> None:
    async def story(pool: Pool) -> None:
        assert await pool.run(Doubling(number=1)) == b"2"
        computing = asyncio.create_task(pool.run(LONG))
        await asyncio.sleep(0.1)
        closing = asyncio.create_task(pool.close()) if turns == 2 else None
        computing.cancel()
        for _ in range(turns):
            await asyncio.sleep(0)
        if closing is not None:
            await closing

    tell(story)


def test_the_task_of_a_process_that_died_while_it_waited_is_done_by_another() -> None:
    async def story(pool: Pool) -> None:
        assert await pool.run(Doubling(number=1)) == b"2"
        (worker,) = processes()
        os.kill(worker, signal.SIGKILL)
        assert await pool.run(Doubling(number=2)) == b"4"

    tell(story)


def test_what_waits_too_long_in_line_is_refused_at_once() -> None:
    async def story(pool: Pool) -> None:
        first = asyncio.create_task(pool.run(Doubling(number=1)))
        second = asyncio.create_task(pool.run(Doubling(number=2)))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="2 others wait for a doubling already"):
            await pool.run(Doubling(number=3))
        assert [await first, await second] == [b"2", b"4"]
        assert await pool.run(Doubling(number=3)) == b"6"

    tell(story, waiting=2)


def test_callers_share_the_processes_and_each_gets_its_own_answer() -> None:
    async def story(pool: Pool) -> None:
        answers = await asyncio.gather(*(pool.run(Doubling(number=number)) for number in range(50)))
        assert answers == [str(2 * number).encode() for number in range(50)]
        assert len(processes()) == 2

    tell(story, number=2)


def test_a_pool_without_processes_says_so() -> None:
    async def story(pool: Pool) -> None:
        with pytest.raises(SwitchedOff, match="doubling is switched off here"):
            await pool.run(Doubling(number=1))

    tell(story, number=0)


def test_a_pool_that_closes_while_its_processes_start_leaves_none() -> None:
    async def story(pool: Pool) -> None:
        pool.warm()
        await asyncio.sleep(0.05)

    tell(story, number=2)
