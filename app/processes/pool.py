"""A small pool of warm processes that run the tasks of requests, each killed when its time is up.

A process is killed and replaced when its task exceeds its budget, or still runs after the grace period that
follows the client's disconnect.
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
    """A program whose main loop is `worker.answer_tasks`.

    module     what `python -m` runs
    argument   its one argument
    name       of its processes, as the log calls them: "compute"
    task       one task, as messages call it: "a computation"
    lost       the problem of a task whose process died or whose time ran out, made from the cause: only the
               owner knows whether any of it may have been done all the same
    off        the message where there are no processes
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
_GRACE_SECONDS = 0.5  # to start another process takes a core a second and more
_START_SECONDS = 120.0  # a start takes two; a machine that is very busy does not refuse its first task
# torch is set to one thread after its import; NumPy's library starts its threads when it is imported.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class ProcessPool(Generic[Task]):
    """Processes of one program that serve one web process; belongs to the event loop that first uses it.

    At most ``waiting`` tasks wait for a process, each ``patience`` seconds (None: no limit), longer while
    a process starts. A task has ``seconds``; after its client disconnects it has ``grace_seconds``,
    which may cost less than to start another process.
    """

    def __init__(
        self,
        program: Program,
        processes: int,
        waiting: int,
        seconds: float,
        patience: float | None = None,
        grace_seconds: float = _GRACE_SECONDS,
    ) -> None:
        self._program, self._seconds = program, seconds
        self._patience, self._grace_seconds = patience, grace_seconds
        self.slots, self._most_waiting = processes, waiting
        self._free: asyncio.Queue[_Worker] = asyncio.Queue()
        self.busy = self.waiting = 0
        self._starting: set[asyncio.Task[None]] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._open = self._started = False

    def open(self) -> None:
        """Accept tasks from now on; the first one starts the processes, unless `warm` did."""
        self._open = True

    def warm(self) -> None:
        """Start the processes unless they were; does not wait for them."""
        if not self._started:
            self._started = True
            for _ in range(self.slots):
                self._add()

    async def run(self, task: Task, progress: Callable[[bytes], None] = lambda _: None) -> bytes:
        """Return the bytes that answer a task.

        Raises the problem that refuses it, `Overloaded`, `SwitchedOff`, and the program's ``lost`` problem if
        the process was killed or the time ran out, when the task may have been done already.
        ``progress`` is called with each message that a task sends before its answer. The time counts from
        when a process is free for the task. Cancelling kills the process after the grace period.
        """
        program = self._program
        while True:
            async with self._lend() as worker:
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
        """Kill every process that is idle, starting or in its grace period; a busy one when its task ends."""
        self._open = self._started = False
        await asyncio.sleep(0)  # tasks whose client has just disconnected return first
        starting = list(self._starting)
        for task in starting:
            task.cancel()
        await asyncio.gather(*starting, return_exceptions=True)
        while not self._free.empty():
            self._end(self._free.get_nowait())
        await asyncio.gather(*self._ending)

    @asynccontextmanager
    async def _lend(self) -> AsyncIterator["_Worker"]:
        """Lend a process; one that is returned in the middle of a task is killed and replaced."""
        worker = await self._next()
        self.busy += 1
        disconnected = False
        try:
            yield worker
        except asyncio.CancelledError:
            disconnected = True
            raise
        finally:
            self.busy -= 1
            if disconnected and not worker.idle and self._open:
                grace = self._begin(self._let_end(worker))
                grace.add_done_callback(
                    lambda _: self._take_back(worker)
                )  # also if cancelled before it begins
            else:
                self._take_back(worker)

    async def _let_end(self, worker: "_Worker") -> None:
        """Wait for a task whose client disconnected, for the grace period at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._grace_seconds):
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
                starting = _START_SECONDS if self._starting else 0.0
                async with asyncio.timeout(None if self._patience is None else self._patience + starting):
                    return await self._free.get()
        except TimeoutError as error:
            raise Overloaded(
                f"no process came free in {self._patience:g} seconds for {self._program.task}; try again"
            ) from error
        finally:
            self.waiting -= 1

    def _add(self) -> None:
        if self._open:
            self._begin(self._start())

    def _begin(self, starting: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        """Run in the background what frees a process or starts another."""
        task = asyncio.get_running_loop().create_task(starting)
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)
        return task

    def _end(self, worker: "_Worker") -> None:
        """Kill a process in the background: on a busy machine it takes a while to be gone."""
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
    """A process has ended unexpectedly."""


class _Worker:
    """One process, and whether it is idle."""

    def __init__(self, program: Program, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None  # noqa: S101 - a pipe, see `start`
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
        """Send a task; raises `_WorkerDiedError` if it was not begun."""
        self.idle = False
        self._stdin.write(Frame(Kind.TASK, task.model_dump_json().encode()).to_bytes())
        with suppress(ConnectionError):  # it has died, which reading notices
            await self._stdin.drain()
        await self._read()

    async def answer(self, progress: Callable[[bytes], None]) -> bytes:
        """Return the answer to the task; raises the problem that refuses it."""
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
        """Wait until the process has finished its task, or is dead."""
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
        """Return the next frame; a call cancelled between head and body leaves the body to the next call."""
        try:
            self._head = self._head or read_head(await self._stdout.readexactly(HEAD_BYTES))
            kind, length = self._head
            body = await self._stdout.readexactly(length)
            self._head = None
            return Frame(kind, body)
        except asyncio.IncompleteReadError as error:
            raise _WorkerDiedError("it ended before its answer") from error

    async def _cause_of_death(self) -> Exception:
        """Return the error for a death in the middle of a task: lack of memory ends a process by a signal."""
        status = await self._process.wait()
        if status < 0:
            task = self._program.task
            return self._program.lost(f"the process was killed, as when {task} takes more memory than it has")
        return RuntimeError(
            f"a {self._program.name} process ended with status {status}; its standard error says why"
        )
