"""The compute processes: their pool, their tasks, and the program that each of them runs.

A process computes in one thread, and in so much memory besides what torch itself takes.
"""

import contextlib
import json
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, Field, TypeAdapter

from app.compute import gradients, networks, programs
from app.compute.gradients import GradientProblem
from app.compute.inputs import ComputeLimits, as_json, is_out_of_memory, stated
from app.compute.programs import TensorProblem
from app.errors import OverBudget, Problem
from app.processes.garbage_collection import gc_paused_then_frozen
from app.processes.pool import ProcessPool, Program
from app.processes.worker import Frame, Kind, answer_tasks, only_frames, refused
from app.settings import Settings
from models.notebook.mlp.problem import MlpProblem
from models.notebook.neuron import NeuronProblem


class TensorTask(BaseModel):
    """Run a program; ``text`` asks for what a notebook would show below it, and for no JSON."""

    computation: Literal["tensor"] = "tensor"
    problem: TensorProblem
    text: bool = False


class GradientTask(BaseModel):
    """Differentiate an expression."""

    computation: Literal["gradient"] = "gradient"
    problem: GradientProblem


class NeuronTask(BaseModel):
    """Train a neuron."""

    computation: Literal["neuron"] = "neuron"
    problem: NeuronProblem


class NeuronFigureTask(BaseModel):
    """Train a neuron, and return what a plot shows of it."""

    computation: Literal["neuron-figure"] = "neuron-figure"
    problem: NeuronProblem


class MlpTask(BaseModel):
    """Train a multilayer perceptron; ``stream`` asks for its losses on the way."""

    computation: Literal["mlp"] = "mlp"
    problem: MlpProblem
    stream: bool = False


class MlpFigureTask(BaseModel):
    """Train a multilayer perceptron, and return what a plot shows of it."""

    computation: Literal["mlp-figure"] = "mlp-figure"
    problem: MlpProblem
    figure: networks.MlpFigure


Task = TensorTask | GradientTask | NeuronTask | NeuronFigureTask | MlpTask | MlpFigureTask

ComputePool = ProcessPool[Task]

_TASK: TypeAdapter[Task] = TypeAdapter(Annotated[Task, Field(discriminator="computation")])


def make_compute_pool(processes: int, waiting: int, limits: ComputeLimits) -> ComputePool:
    """Return a pool of so many processes, for whose attention at most ``waiting`` tasks wait."""
    program = Program(
        module="app.compute.process",
        argument=limits.model_dump_json(),
        name="compute",
        task="a computation",
        lost=lambda cause: OverBudget(f"{cause}; ask for less: fewer epochs, smaller tensors"),
        off="computing is switched off here: LIKELY_COMPUTE_PROCESSES is 0",
    )
    return ProcessPool(program, processes, waiting, limits.seconds)


def main(limits: ComputeLimits) -> None:
    """Compute until the input ends."""
    torch.set_num_threads(1)
    sink = only_frames()
    with gc_paused_then_frozen():
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


def answer(body: bytes, limits: ComputeLimits, progress: Callable[[bytes], None]) -> Frame:
    """Return the answer to a task, or its refusal; ``progress`` takes the JSON that it sends on its way."""
    try:
        # Not validate_json, which allows fewer nested brackets than the reader of request bodies does.
        task = _TASK.validate_python(json.loads(body))
        return Frame(Kind.ANSWER, _computed(task, limits, progress))
    except Problem as problem:
        return refused(problem)
    except MemoryError:
        return refused(_too_much_memory())
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return refused(_too_much_memory())


def _computed(task: Task, limits: ComputeLimits, progress: Callable[[bytes], None]) -> bytes:
    match task:
        case TensorTask(text=True):
            content = programs.run_as_text(task.problem, limits).encode()
        case TensorTask():
            content = as_json(programs.run_program(task.problem, limits))
        case GradientTask():
            content = as_json(stated(gradients.differentiate(task.problem, limits)))
        case NeuronTask():
            content = as_json(networks.run_neuron(task.problem, limits))
        case NeuronFigureTask():
            content = networks.draw_neuron(task.problem, limits).model_dump_json().encode()
        case MlpTask():
            content = as_json(networks.run_mlp(task.problem, limits, progress if task.stream else None))
        case MlpFigureTask():
            content = networks.draw_mlp(task.problem, limits, task.figure).model_dump_json().encode()
    return content


def _too_much_memory() -> Problem:
    return OverBudget("this took more memory than a computation has; ask for less")


def warm_up() -> None:
    """Compute one of each, so that no caller waits for what happens only the first time.

    Within the default limits: the settings may allow less than this takes.
    """
    limits = ComputeLimits.of(Settings.model_construct())
    # The second derivative of abs is where torch imports its compiler, which takes a second.
    gradient = GradientProblem(expression="(abs(w)**2).sum()", variables={"w": [1.0, 2.0]}, order=2)
    gradients.differentiate(gradient, limits)
    networks.run_neuron(NeuronProblem(inputs=[1.0], weights=[0.0], epochs=3), limits)
    networks.run_mlp(MlpProblem(layers=[1, 2, 1], inputs=[[1.0]], targets=[[1.0]], epochs=3), limits, None)


if __name__ == "__main__":
    main(ComputeLimits.model_validate_json(sys.argv[1]))
