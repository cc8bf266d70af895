"""A program of its own: computes what `tasks.py` describes, in one thread and in so much memory.

Does not know how tasks come in; `app.processes.worker` does.
"""

import contextlib
import os
import resource
import sys
from pathlib import Path

from app.compute.inputs import ComputeLimits
from app.processes.garbage_collection import importing
from app.processes.worker import answer_tasks, only_frames


def main(limits: ComputeLimits) -> None:
    """Compute until the input ends, in one thread and in so much memory beside what torch itself takes."""
    with importing():
        import torch

        from app.compute.process import answer, warm_up

        torch.set_num_threads(1)
        sink = only_frames()
        warm_up()  # torch imports its compiler there
    os.nice(10)  # where cores are short, other requests come first; but not while everybody waits for it
    _bound_memory(limits.memory_bytes)
    answer_tasks(sink, lambda body, progress: answer(body, limits, progress))


def _bound_memory(memory_bytes: int) -> None:
    with contextlib.suppress(OSError, ValueError):  # not every system counts address space
        baseline = (
            int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        )
        resource.setrlimit(resource.RLIMIT_AS, (baseline + memory_bytes, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main(ComputeLimits.model_validate_json(sys.argv[1]))
