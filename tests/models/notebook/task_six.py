"""Task 6 of the class notebook, and how often it holds.

    python -m tests.models.notebook.task_six

trains it with every optimizer from each of the seeds 0 to 99 (a minute) and prints how many come within the
task's 0.1 on all five points.
"""

import statistics
import time

import torch
from rich.console import Console
from rich.table import Table

from models.notebook.mlp.problem import MlpProblem
from models.notebook.mlp.training import TrainedMlp, train_mlp

POINTS = [[1.0, 1.0], [0.0, 0.0], [2.0, -1.0], [-1.0, 0.5], [-0.5, -2.0]]
OUTSIDE = [[2.0, 2.0], [-1.0, -1.0], [3.0, -3.0]]


def train(**choices: object) -> TrainedMlp:
    """Train the task's network on its points."""
    task = {"layers": [2, 4, 4, 1], "inputs": POINTS, "target_expression": "x1 * x2 + 1"}
    return train_mlp(MlpProblem.model_validate({**task, **choices}))


def main() -> None:
    """Print a line an optimizer, each with its own learning rate."""
    torch.set_num_threads(1)
    table = Table(
        "optimizer", "learning rate", "within 0.1, of 100 seeds", "largest error", "a training, median"
    )
    for optimizer in ("nesterov", "sgd", "adam"):
        networks, times = [], []
        for seed in range(100):
            start = time.perf_counter()
            networks.append(train(optimizer=optimizer, seed=seed))
            times.append(time.perf_counter() - start)
        table.add_row(
            optimizer,
            f"{networks[0].learning_rate}",
            f"{sum(network.within_tolerance for network in networks)}",
            f"{max(network.max_error for network in networks):.4f}",
            f"{1000 * statistics.median(times):.0f} ms",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
