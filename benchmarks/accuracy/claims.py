"""What Likely claims of its default model, each held against the figures of a run.

Does not know how the figures came about.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from benchmarks.accuracy.contestants import LIKELY, is_peer
from benchmarks.accuracy.results import Figure, Results, Row

_CALIBRATION, _AS_GOOD, _TIMES_FASTER, _RELEARNING = 0.02, 0.005, 5, 2.0
_SPLIT_NAMES = {"random": "ten random held out", "time": "last fifth by time"}


@dataclass(frozen=True)
class Claim:
    """A claim, what was measured, and whether it holds."""

    said: str
    measured: str
    holds: bool


def claims(results: Results) -> Iterator[Claim]:
    """Yield every claim."""
    for key, split in results.splits.items():
        ours = next(row for row in split.rows if row.name == LIKELY)
        peers = [row for row in split.rows if is_peer(row.name)]
        name = _SPLIT_NAMES[key]
        yield _best(f"AUC, {name}: within one standard error of the best", "auc", ours, peers)
        yield _best(f"log loss, {name}: within one standard error of the best", "log_loss", ours, peers)
        yield Claim(
            f"calibration error, {name}: ≤ {_CALIBRATION}",
            f"{ours.calibration_error:.4f}; exactly right scores: {split.chance_calibration_error:.4f}",
            ours.calibration_error <= _CALIBRATION,
        )
        yield _faster_than_as_good(name, ours, peers)
        yield _faster_than_myfm(name, ours, peers)
    for count in results.cold_start.aucs[LIKELY]:
        yield _ahead(results, count)
    yield Claim(
        f"fold-in with 200 responses: median ≤ {_RELEARNING:g} ms",
        f"{results.fold_in.median:.2f} ms",
        results.fold_in.median <= _RELEARNING,
    )


def _best(message: str, figure: Literal["auc", "log_loss"], ours: Row, peers: list[Row]) -> Claim:
    """Compare with the peer that is furthest ahead, or least behind, in standard errors of the difference."""
    sign = 1 if figure == "auc" else -1
    result: dict[str, Figure] = {row.name: getattr(row, figure) for row in peers}
    best = max(result, key=lambda name: sign * result[name].value)
    lead, error = result[best].more, result[best].more_error
    mine: Figure = getattr(ours, figure)
    return Claim(
        message,
        f"{mine.value:.4f}; {best} {result[best].value:.4f} ({lead:+.4f} ± {error:.4f})",
        all(sign * item.more <= item.more_error for item in result.values()),
    )


def _faster_than_as_good(name: str, ours: Row, peers: list[Row]) -> Claim:
    as_good = [row for row in peers if row.auc.more >= -_AS_GOOD]
    listing = ", ".join(f"{row.name} {row.seconds:.2f} s" for row in as_good) or "no peer is"
    return Claim(
        f"training, {name}: faster than any peer within {_AS_GOOD} AUC",
        f"{ours.seconds:.2f} s; {listing}",
        all(ours.seconds < row.seconds for row in as_good),
    )


def _faster_than_myfm(name: str, ours: Row, peers: list[Row]) -> Claim:
    times = [row.seconds / ours.seconds for row in peers if row.name.startswith("myFM")]
    return Claim(
        f"training, {name}: at least {_TIMES_FASTER} times faster than myFM",
        " and ".join(f"{time:.1f}" for time in times) + " times (with genres, without)",
        min(times) >= _TIMES_FASTER,
    )


def _ahead(results: Results, count: int) -> Claim:
    asked = {name: result[count] for name, result in results.cold_start.aucs.items() if count in result}
    best = max((name for name in asked if is_peer(name)), key=lambda name: asked[name].value)
    return Claim(
        f"cold start, {count} known: ahead of every peer",
        f"{asked[LIKELY].value:.4f}; {best} {asked[best].value:.4f}"
        f" ({asked[best].more:+.4f} ± {asked[best].more_error:.4f})",
        asked[best].more < 0,
    )
