"""What a run ends with: every figure that docs/accuracy.md shows, and that is kept as JSON.

Does not know how figures are measured or shown.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from models.recommender.metrics import Bin


@dataclass(frozen=True)
class Figure:
    """A figure with its standard error, and by how much it is more than Likely's, with that one's error."""

    value: float
    error: float
    more: float
    more_error: float


@dataclass(frozen=True)
class Row:
    """A model's figures on one split; ``scaled``: all but the AUC are of scores that Platt scaling made."""

    name: str
    auc: Figure
    log_loss: Figure
    brier: float
    calibration_error: float
    accuracy: float
    seconds: float
    scaled: bool


@dataclass(frozen=True)
class Split:
    """One split, with the reliability of Likely's scores.

    chance_calibration_error: what scores would be charged with on average if each were exactly right.
    """

    learned_from: int
    asked: int
    users: int
    rows: list[Row]
    reliability: list[Bin]
    chance_calibration_error: float


@dataclass(frozen=True)
class ColdStart:
    """AUC by the number of known responses, for each model that can be asked."""

    new_users: int
    asked: int
    aucs: dict[str, dict[int, Figure]]


@dataclass(frozen=True)
class FoldIn:
    """What relearnings took, in milliseconds."""

    users: int
    median: float
    ninety_fifth: float


@dataclass(frozen=True)
class Results:
    """One run."""

    machine: dict[str, str]
    versions: dict[str, str]
    splits: dict[str, Split]
    cold_start: ColdStart
    fold_in: FoldIn

    def save(self, path: Path) -> None:
        """Write everything as JSON."""
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")
