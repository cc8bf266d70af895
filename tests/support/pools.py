"""A pool of processes for as long as a test's story lasts. Does not know what the processes do."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar

from pydantic import BaseModel

from app.processes.pool import ProcessPool

Task = TypeVar("Task", bound=BaseModel)


def tell_in(
    pool: ProcessPool[Task], story: Callable[[ProcessPool[Task]], Coroutine[None, None, None]]
) -> None:
    """Run a story with a pool that is open until its end."""

    async def run() -> None:
        pool.open()
        try:
            await story(pool)
        finally:
            await pool.close()

    asyncio.run(run())
