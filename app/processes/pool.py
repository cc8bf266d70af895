"""A small pool of warm processes that do what requests ask for, each killed when its time is up.

A process that is over its budget, or still at it a moment after its caller hung up, is killed, and another
is started in its place.
Does not know what is done.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog
from pydantic import BaseModel

from app.errors import Overloaded, Problem, SwitchedOff
from app.observability.tracing import span
from app.processes.worker import HEAD_BYTES, Frame, Kind, read_head, refusal_of


@dataclass(frozen=True)
class Program:
    """A program that `worker.py` is the main loop of.

    module     what `python -m` runs
    argument   its one argument
    name       of its processes, as the log calls them: "compute"
    task       what it does, in one word: "computation"
    lost       the problem that a caller is told whose task died or ran out of its time, given which: the
               owner knows whether anything of it may be done all the same
    off        what a caller is told where there are no processes
    """

    module: str
    argument: str
    name: str
    task: str
    lost: Callable[[str], Problem]
    off: str


log = structlog.get_logger()

Task = TypeVar("Task", bound=BaseModel)

_RESTART_SECONDS = 1.0
_MOMENT = 0.5  # another process takes a core a second and more
_START_SECONDS = 120.0  # it takes two; a machine that is very busy does not refuse its first task
# torch is told once it is there; NumPy's library starts its threads when it is imported.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def _ignore(_progress: bytes) -> None:
    return None


class ProcessPool(Generic[Task]):
    """Processes of one program beside one web process; belongs to the event loop that first uses it.

    At most ``waiting`` tasks wait for a process, each ``patience`` seconds, or for ever, and longer where one
    has yet to start; a task has ``seconds``. One whose caller hung up has ``moment`` seconds to end, which
    may cost less than another process does.
    """

    def __init__(
        self,
        program: Program,
        processes: int,
        waiting: int,
        seconds: float,
        patience: float | None = None,
        moment: float = _MOMENT,
    ) -> None:
        self._program, self._seconds, self._patience, self._moment = program, seconds, patience, moment
        self.slots, self._most_waiting = processes, waiting
        self._free: asyncio.Queue[_Worker] = asyncio.Queue()
        self.busy = self.waiting = 0
        self._starting: set[asyncio.Task[None]] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._open = self._started = False

    def open(self) -> None:
        """Take tasks from now on; the first one starts the processes, unless `warm` did."""
        self._open = True

    def warm(self) -> None:
        """Start the processes, if they are not yet; returns at once."""
        if not self._started:
            self._started = True
            for _ in range(self.slots):
                self._add()

    async def run(self, task: Task, progress: Callable[[bytes], None] = _ignore) -> bytes:
        """Return the bytes that answer a task.

        Raises how it is refused, `Overloaded`, `SwitchedOff`, and what its program says of a task that is
        lost: its process was killed or its time ended, when it may have been done already.
        ``progress`` is called with what a task sends on its way. The time counts from when a process
        is free for the task. Cancelling kills the process, in a moment.
        """
        program = self._program
        while True:
            async with self._taken() as worker:
                try:
                    with span("pool", pool=program.name):
                        async with asyncio.timeout(self._seconds):
                            await worker.take(task)
                            return await worker.answer(progress)
                except TimeoutError as error:
                    cause = f"this took longer than the {self._seconds:g} seconds that {program.task} has"
                    raise program.lost(cause) from error
                except _WorkerDiedError:
                    event = "a process has died while it waited; another one takes its task"
                    log.warning(event, program=program.name)

    async def close(self) -> None:
        """Kill every process that waits, starts or is left alone; one that computes, when its task ends."""
        self._open = self._started = False
        await asyncio.sleep(0)  # whose caller has just hung up comes back first
        starting = list(self._starting)
        for task in starting:
            task.cancel()
        await asyncio.gather(*starting, return_exceptions=True)
        while not self._free.empty():
            self._end(self._free.get_nowait())
        await asyncio.gather(*self._ending)

    @asynccontextmanager
    async def _taken(self) -> AsyncIterator["_Worker"]:
        """Lend a process; one that comes back in the middle of a task is killed and replaced."""
        worker = await self._next()
        self.busy += 1
        hung_up = False
        try:
            yield worker
        except asyncio.CancelledError:
            hung_up = True
            raise
        finally:
            self.busy -= 1
            if hung_up and not worker.idle and self._open:
                last_moment = self._begin(self._let_end(worker))
                last_moment.add_done_callback(lambda _: self._take_back(worker))  # also if it is never begun
            else:
                self._take_back(worker)

    async def _let_end(self, worker: "_Worker") -> None:
        """Give a task whose caller hung up its moment."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._moment):
                await worker.end_task()

    def _take_back(self, worker: "_Worker") -> None:
        if worker.idle and self._open:
            self._free.put_nowait(worker)
        else:
            self._end(worker)
            self._add()

    async def _next(self) -> "_Worker":
        if self.slots == 0:
            raise SwitchedOff(self._program.off)
        if not self._open:
            raise Overloaded("the service is about to stop")
        self.warm()
        if self.waiting >= self._most_waiting and self._free.empty():
            raise Overloaded(f"{self.waiting} others wait for {self._program.task} already; try again")
        self.waiting += 1
        try:
            with span("wait for a process", pool=self._program.name):
                async with asyncio.timeout(self._limit()):
                    return await self._free.get()
        except TimeoutError as error:
            raise Overloaded(
                f"no process came free in {self._patience:g} seconds for {self._program.task}; try again"
            ) from error
        finally:
            self.waiting -= 1

    def _limit(self) -> float | None:
        """Return how long a task waits that comes now."""
        if self._patience is None:
            return None
        return self._patience + (_START_SECONDS if self._starting else 0.0)

    def _add(self) -> None:
        if self._open:
            self._begin(self._start())

    def _begin(self, starting: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        """Do what leaves a process free, or begins another."""
        task = asyncio.get_running_loop().create_task(starting)
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)
        return task

    def _end(self, worker: "_Worker") -> None:
        """Kill a process; nobody waits until it is gone, which takes a while on a busy machine."""
        ending = asyncio.get_running_loop().create_task(worker.kill())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    async def _start(self) -> None:
        while True:
            try:
                self._free.put_nowait(await _Worker.start(self._program))
            except (OSError, ValueError, _WorkerDiedError) as error:
                event = "a process could not be started, and is tried again"
                log.warning(event, program=self._program.name, error=str(error))
                await asyncio.sleep(_RESTART_SECONDS)
            else:
                return


class _WorkerDiedError(Exception):
    """A process has ended by itself."""


class _Worker:
    """One process, and whether it waits for a task."""

    def __init__(self, program: Program, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None  # noqa: S101 - it was asked for
        assert process.stdout is not None  # noqa: S101 - likewise
        self._program, self._process = program, process
        self._stdin, self._stdout = process.stdin, process.stdout
        self._head: tuple[Kind, int] | None = None  # of a frame whose body has yet to come
        self.idle = False

    @classmethod
    async def start(cls, program: Program) -> "_Worker":
        """Start a process and wait until it is warm; raises `ValueError` if it says anything else."""
        worker = cls(
            program,
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", program.module, program.argument),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=os.environ | _ONE_THREAD,
                start_new_session=True,  # Ctrl-C is for the service, which ends its processes itself
            ),
        )
        try:
            worker.idle = (await worker._read()).kind is Kind.READY
        finally:
            if not worker.idle:
                await worker.kill()
        return worker

    async def take(self, task: BaseModel) -> None:
        """Hand a task over; raises `_WorkerDiedError` if it was not begun."""
        self.idle = False
        self._stdin.write(Frame(Kind.TASK, task.model_dump_json().encode()).to_bytes())
        with suppress(ConnectionError):  # it has died, which reading notices
            await self._stdin.drain()
        await self._read()

    async def answer(self, progress: Callable[[bytes], None]) -> bytes:
        """Return the answer to the task taken; raises how it is refused."""
        try:
            frame = await self._read()
            while frame.kind is Kind.PROGRESS:
                progress(frame.body)
                frame = await self._read()
        except _WorkerDiedError as error:
            raise await self._cause_of_death() from error
        self.idle = True
        if frame.kind is Kind.REFUSAL:
            raise refusal_of(frame.body)
        return frame.body

    async def end_task(self) -> None:
        """Wait until the process is through with its task, or dead."""
        with suppress(_WorkerDiedError):
            while (await self._read()).kind not in (Kind.ANSWER, Kind.REFUSAL):
                pass
            self.idle = True

    async def kill(self) -> None:
        """End the process now."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def _read(self) -> Frame:
        """Return the next frame; whoever is cancelled between its head and its body leaves it to the next."""
        try:
            self._head = self._head or read_head(await self._stdout.readexactly(HEAD_BYTES))
            kind, length = self._head
            body = await self._stdout.readexactly(length)
            self._head = None
            return Frame(kind, body)
        except asyncio.IncompleteReadError as error:
            raise _WorkerDiedError("it ended before its answer") from error

    async def _cause_of_death(self) -> Exception:
        """Return what a death in the middle of a task means: who is short of memory is ended by a signal."""
        status = await self._process.wait()
        if status < 0:
            task = self._program.task
            return self._program.lost(f"the process was killed, as when {task} takes more memory than it has")
        return RuntimeError(
            f"a {self._program.name} process ended with status {status}; its standard error says why"
        )
