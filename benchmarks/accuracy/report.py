"""docs/accuracy.md: its tables, written anew from a run's results; the prose between them stays.

Does not know how figures are measured.
"""

from pathlib import Path

from benchmarks.accuracy.claims import claims
from benchmarks.accuracy.contestants import LIKELY
from benchmarks.accuracy.results import ColdStart, Figure, FoldIn, Results, Row, Split
from models.recommender.metrics import Bin
from testbed.documents import item, replaced, table

_WIDTH = 40  # characters from a score of 0 to one of 1


def write(document: Path, results: Results) -> None:
    """Put the run's tables in the place of those that the document has."""
    document.write_text(replaced(document.read_text(), tables(results)))


def tables(results: Results) -> dict[str, str]:
    """Return every table by its name."""
    result = {"claims": _claims(results), "cold-start": _cold_start(results.cold_start)}
    for name, split in results.splits.items():
        result[name] = _split(split)
        result[f"reliability-{name}"] = _reliability(split.reliability)
    result["relearning"] = _relearning(results.fold_in)
    result["machine"] = table(["", ""], {**results.machine, **results.versions}.items())
    return result


def _claims(results: Results) -> str:
    items = [
        item(
            f"{claim.said}. *Measured:* {claim.measured}. **{'Holds' if claim.holds else 'Does not hold'}.**"
        )
        for claim in claims(results)
    ]
    return "\n".join([*items, ""])


def _split(split: Split) -> str:
    rows = [
        [
            _name(row),
            f"{row.auc.value:.4f} ± {row.auc.error:.4f}",
            f"{row.log_loss.value:.4f} ± {row.log_loss.error:.4f}",
            f"{row.brier:.4f}",
            f"{row.calibration_error:.4f}",
            f"{row.accuracy:.4f}",
            f"{row.seconds:.2f}",
        ]
        for row in split.rows
    ]
    seen = f"{split.users:,} users, {split.learned_from:,} responses to learn from"
    heads = ["model", "AUC", "log loss", "Brier", "calibration error", "accuracy", "seconds"]
    differences = [
        [_name(row), _difference(row.auc), _difference(row.log_loss)]
        for row in split.rows
        if row.name != LIKELY
    ]
    return "\n".join(
        [
            f"{seen}, {split.asked:,} to score.\n",
            table(heads, rows),
            "More than Likely's, with the error of the difference:\n",
            table(["model", "AUC", "log loss"], differences),
        ]
    )


def _name(row: Row) -> str:
    return row.name + (" †" if row.scaled else "")


def _difference(figure: Figure) -> str:
    return f"{figure.more:+.4f} ± {figure.more_error:.4f}"


def _cold_start(cold: ColdStart) -> str:
    counts = list(cold.aucs[LIKELY])
    rows = [
        [name, *(f"{result[count].value:.4f}" if count in result else "" for count in counts)]
        for name, result in cold.aucs.items()
    ]
    sizes = f"{cold.new_users} new users, {cold.asked:,} responses to score.\n\n"
    return sizes + table(["model", *(f"{count} known" for count in counts)], rows)


def _relearning(fold_in: FoldIn) -> str:
    row = [str(fold_in.users), f"{fold_in.median:.2f} ms", f"{fold_in.ninety_fifth:.2f} ms"]
    return table(["users", "median", "95th percentile"], [row])


def _reliability(bins: list[Bin]) -> str:
    lines = ["scores          responses   said   came"]
    for bin_value in bins:
        if bin_value.mean_score is None or bin_value.mean_response is None:
            continue
        bar = list("█" * round(_WIDTH * bin_value.mean_response) + " " * _WIDTH)[: _WIDTH + 1]
        bar[round(_WIDTH * bin_value.mean_score)] = "│"
        lines.append(
            f"{bin_value.lower:.3f} to {bin_value.upper:.3f}  {bin_value.responses:9,}"
            f"  {bin_value.mean_score:.3f}  {bin_value.mean_response:.3f}  {''.join(bar).rstrip()}"
        )
    return "```text\n" + "\n".join(lines) + "\n```\n"
