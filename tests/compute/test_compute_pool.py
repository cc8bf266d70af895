"""The compute processes: what they refuse, what memory and how many threads they have.

What every pool of processes does is in test_process_pool.py, with a program that starts sooner.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine

import pytest

from app.compute.inputs import ComputeLimits
from app.compute.process import ComputePool, NeuronTask, Task, TensorTask, make_compute_pool
from app.compute.programs import TensorProblem
from app.errors import BadInput, OverBudget, Overloaded, SwitchedOff
from app.settings import Settings
from models.notebook.neuron import NeuronProblem
from testbed.live import compute_processes_of, threads_of
from tests.support.pools import tell_in

ENDLESS = NeuronTask(problem=NeuronProblem(inputs=[1.0], weights=[0.0], epochs=100_000))
Story = Callable[[ComputePool], Coroutine[None, None, None]]


def program(text: str) -> Task:
    return TensorTask(problem=TensorProblem(program=text), text=True)


OTHERS: set[int] = set()


@pytest.fixture(autouse=True)
def _others() -> None:
    """Leave the compute processes alone that other tests' services keep."""
    OTHERS.clear()
    OTHERS.update(compute_processes_of(os.getpid()))


def processes() -> set[int]:
    """The compute processes of the story that still run."""
    return compute_processes_of(os.getpid()) - OTHERS


def tell(story: Story, *, number: int = 1, waiting: int = 64, **limits: float) -> None:
    """Run a story with a pool of its own, and see that the pool leaves no process behind."""
    settings = Settings.model_validate({f"compute_{name}": value for name, value in limits.items()})

    tell_in(make_compute_pool(number, waiting, ComputeLimits.of(settings)), story)
    assert not processes()


def test_a_task_over_its_memory_is_refused_and_the_next_one_is_answered() -> None:
    async def story(pool: ComputePool) -> None:
        with pytest.raises(OverBudget, match="memory"):
            await pool.run(program("a = [torch.ones(1000, 1000) for i in range(19)]\nb = ones(1)"))
        assert await pool.run(program("2 + 2")) == b"4\n"

    tell(story, memory_bytes=2**26, seconds=20)


def test_a_process_that_the_system_kills_in_the_middle_of_a_task_was_too_large() -> None:
    async def story(pool: ComputePool) -> None:
        assert await pool.run(program("1 + 1")) == b"2\n"
        computing = asyncio.create_task(pool.run(ENDLESS))
        await asyncio.sleep(0.2)
        os.kill(processes().pop(), signal.SIGKILL)
        with pytest.raises(OverBudget, match="memory"):
            await computing

    tell(story, seconds=60)


def test_who_would_wait_behind_too_many_is_refused() -> None:
    async def story(pool: ComputePool) -> None:
        with pytest.raises(Overloaded, match="0 others wait for a computation already"):
            await pool.run(program("1"))

    tell(story, waiting=0)


def test_computing_can_be_switched_off() -> None:
    async def story(pool: ComputePool) -> None:
        with pytest.raises(SwitchedOff, match="LIKELY_COMPUTE_PROCESSES"):
            await pool.run(program("1"))

    tell(story, number=0)


def test_a_refusal_comes_back_with_its_place() -> None:
    async def story(pool: ComputePool) -> None:
        with pytest.raises(BadInput, match="line 2") as refused:
            await pool.run(program("a = 1\na[0]"))
        assert [(place.pointer, place.line) for place in refused.value.places] == [("", 2)]

    tell(story)


def test_a_process_runs_behind_other_work_and_in_one_thread_of_torch() -> None:
    async def story(pool: ComputePool) -> None:
        await pool.run(program("ones(500, 500) @ ones(500, 500)"))
        (worker,) = processes()
        assert os.getpriority(os.PRIO_PROCESS, worker) >= 10
        # The main thread and the one that reads; torch would have started one a core more.
        assert threads_of(worker) == 2

    tell(story)


def test_a_process_starts_within_limits_that_allow_nothing() -> None:
    async def story(pool: ComputePool) -> None:
        assert await pool.run(program("1")) == b"1\n"

    tell(story, program_bytes=1, nesting=1, operations=1, elements=1, epochs=1, parameters=1)
