"""How good Likely's own models are on responses that they did not see, and what training them takes.

    python -m benchmarks.held_out PATH        # an unpacked MovieLens folder

Ten random responses a user held out, and the last fifth of each user's by time. The movie's mean stands
beside them as what has to be beaten. Times are of one run, all models in the same. Does not know any other
library's models.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from app import vectors
from app.movielens import read_movielens
from models import scoring
from models.evaluation import evaluate
from models.gradient_descent import GradientDescent, GradientDescentOptions
from models.holdout import Holdout, held_out, kept
from models.mixed_effects.predictor import Taste
from models.mixed_effects.trainer import MixedEffects, MixedEffectsOptions
from models.responses import Responses
from models.trainer import Step

_SPLITS = {
    "ten random a user": Holdout(last_n=10, by="seed"),
    "the last fifth by time": Holdout(fraction=0.2, by="time"),
}
_DESCENT = GradientDescentOptions(loss="logistic", optimizer="adam", epochs=100)

# From what is learned from to scores of what was held out, and the seconds of learning alone.
Judged = Callable[[Responses, Responses], tuple[Tensor, float]]


@dataclass(frozen=True)
class Folder:
    """A folder's responses, and their timestamps in the same order."""

    responses: Responses
    timestamps: Tensor


def main(path: Path) -> None:
    """Print one table a split."""
    folder = _read(path)
    for said, holdout in _SPLITS.items():
        mask = held_out(folder.responses, folder.timestamps, holdout, seed=1)
        seen, unseen = kept(folder.responses, ~mask), kept(folder.responses, mask)
        table = Table("model", "AUC", "log loss", "Brier", "calibration", "accuracy", "seconds", title=said)
        for name, judged in _MODELS.items():
            scores, seconds = judged(seen, unseen)
            found = evaluate(scores, unseen.values)
            numbers = (found.auc, found.log_loss, found.brier, found.calibration_error, found.accuracy)
            table.add_row(name, *(f"{number:.4f}" for number in numbers), f"{seconds:.2f}")
        Console().print(table)


def _read(path: Path) -> Folder:
    read = read_movielens(path)
    movies = read.movies.rows.sort("movie").with_row_index("item")
    batches = pl.concat([batch.rows for batch in read.responses])
    rows = (
        batches.join(movies.select("movie", "item"), on="movie")
        .with_columns(pl.col("user").rank("dense").alias("row") - 1)
        .sort("row", "item")
    )
    stacked = vectors.stack(movies["vector"].to_list(), len(read.dimensions))

    def column(name: str) -> Tensor:
        return torch.from_numpy(rows[name].to_numpy().copy())

    users = column("row").long()
    return Folder(
        Responses.from_triples(
            torch.from_numpy(stacked.reshape(movies.height, len(read.dimensions))),
            users,
            column("item").long(),
            column("response"),
            int(users.max()) + 1,
        ),
        column("timestamp").double(),
    )


def _unheard(_: Step) -> None:
    pass


def _mixed_effects(learned_dimensions: int) -> Judged:
    def judged(seen: Responses, unseen: Responses) -> tuple[Tensor, float]:
        started = time.perf_counter()
        trainer = MixedEffects(MixedEffectsOptions(learned_dimensions=learned_dimensions))
        fit = trainer.fit(seen, 1, _unheard)
        seconds = time.perf_counter() - started
        logits = []
        for user, rows in enumerate(torch.split(unseen.item_rows, unseen.offsets.diff().tolist())):
            taste = Taste(fit.tastes.means[user], fit.tastes.covariances[user])
            logits.append(fit.predictor.predict(taste, fit.predictor.items.gathered(rows)).logits)
        return scoring.scores(torch.cat(logits)), seconds

    return judged


def _gradient_descent(seen: Responses, unseen: Responses) -> tuple[Tensor, float]:
    started = time.perf_counter()
    embeddings = GradientDescent(_DESCENT).fit(seen, 1, _unheard).embeddings
    seconds = time.perf_counter() - started
    logits = scoring.logits(embeddings[unseen.user_rows], unseen.item_vectors[unseen.item_rows])
    return scoring.scores(logits), seconds


def _movie_mean(seen: Responses, unseen: Responses) -> tuple[Tensor, float]:
    """Score by the mean of a movie's responses, drawn to everybody's mean by the weight of one response."""
    started = time.perf_counter()
    values, everybody = seen.values.double(), seen.values.double().mean()
    sums = torch.bincount(seen.item_rows, values, seen.items)
    means = (sums + everybody) / (torch.bincount(seen.item_rows, minlength=seen.items) + 1)
    return means[unseen.item_rows], time.perf_counter() - started


_MODELS: dict[str, Judged] = {
    "mixed_effects, 8 learned dimensions": _mixed_effects(8),
    "mixed_effects, named dimensions only": _mixed_effects(0),
    "gradient_descent, logistic, Adam, 100 epochs": _gradient_descent,
    "the movie's mean": _movie_mean,
}


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
