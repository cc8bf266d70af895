"""The numbers and names of each figure, as they travel to the process that draws: no colour, no axis."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from models.recommender.metrics import Bin

Kind = Literal["user", "movie"]

# A curve has no more points than this; a screen shows no more, and drawing takes as long as there are points.
_MOST_POINTS = 2000
# From this ratio of the largest loss to the smallest on, the end of a curve lies flat on a linear axis.
_STEEP = 100.0


class _Figure(BaseModel):
    """What all figures have: a title, and a line below it."""

    model_config = ConfigDict(frozen=True)

    title: str
    subtitle: str


class LossCurve(_Figure):
    """Losses by step, one or more series; the first series is the loss itself."""

    figure: Literal["losses"] = "losses"
    step: str
    steps: list[int]
    series: dict[str, list[float]]

    @classmethod
    def of(
        cls, title: str, subtitle: str, step: str, steps: Sequence[int], series: Mapping[str, Sequence[float]]
    ) -> "LossCurve":
        """Return the curve, downsampled if long to the smallest and largest loss of each stretch of steps."""
        visible = _visible_steps(next(iter(series.values()), ()))
        return cls(
            title=title,
            subtitle=subtitle,
            step=step,
            steps=[steps[index] for index in visible],
            series={name: [values[index] for index in visible] for name, values in series.items()},
        )

    @property
    def is_logarithmic(self) -> bool:
        """Whether the losses are positive and span enough for a logarithmic axis."""
        losses = next(iter(self.series.values()), [])
        positive = all(value > 0 for values in self.series.values() for value in values)
        return positive and bool(losses) and max(losses) >= _STEEP * min(losses)


def _visible_steps(losses: Sequence[float]) -> Sequence[int]:
    """Return the indexes of the losses to show: the ends, and of many the extremes of each stretch."""
    if len(losses) <= _MOST_POINTS:
        return range(len(losses))
    stretch = -(-2 * len(losses) // _MOST_POINTS)
    steps = {0, len(losses) - 1}
    for start in range(0, len(losses), stretch):
        places = range(start, min(start + stretch, len(losses)))
        steps |= {min(places, key=losses.__getitem__), max(places, key=losses.__getitem__)}
    return sorted(steps)


class Entity(BaseModel):
    """A user or a movie with one number per dimension."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    name: str
    values: list[float]


class Heatmap(_Figure):
    """Users' embeddings and movies' vectors; ``dimensions`` are the names of the values."""

    figure: Literal["heatmap"] = "heatmap"
    dimensions: list[str]
    entities: list[Entity]


class Scatter(_Figure):
    """Users and movies over two dimensions; each entity has the value on ``x`` and on ``y``."""

    figure: Literal["scatter"] = "scatter"
    x: str
    y: str
    entities: list[Entity]


class ScoreMatrix(_Figure):
    """A score for each user and movie, and the response where there is one; one row per user."""

    figure: Literal["scores"] = "scores"
    users: list[str]
    movies: list[str]
    scores: list[list[float]]
    responses: list[list[float | None]]


class ReliabilityDiagram(_Figure):
    """Mean responses and mean scores, by bins of the score."""

    figure: Literal["reliability"] = "reliability"
    bins: list[Bin]


class Surface(BaseModel):
    """Predictions over a grid, len(ys) rows of len(xs)."""

    model_config = ConfigDict(frozen=True)

    xs: list[float]
    ys: list[float]
    predictions: list[list[float]]


class Fit(_Figure):
    """A network's predictions and targets, one row per point, and perhaps the surface over two inputs."""

    figure: Literal["fit"] = "fit"
    tolerance: float
    inputs: list[list[float]]
    targets: list[list[float]]
    predictions: list[list[float]]
    surface: Surface | None = None


Figure = LossCurve | Heatmap | Scatter | ScoreMatrix | ReliabilityDiagram | Fit


def disambiguated(names: Sequence[str], ids: Sequence[str]) -> list[str]:
    """Return unique names: duplicates are followed by their id in parentheses."""
    labels = list(names)
    while duplicates := {name for name, count in Counter(labels).items() if count > 1}:
        labels = [
            f"{name} ({key})" if name in duplicates else name for name, key in zip(labels, ids, strict=True)
        ]
    return labels
