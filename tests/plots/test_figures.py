"""The plots: what the charts show is what the figures say, and the text forms say the same."""

import itertools
import re
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import vl_convert

from app.plots.charts.chart import specify
from app.plots.charts.labels import ALIGNS, Box, place
from app.plots.figures import (
    Entity,
    Figure,
    Fit,
    Heatmap,
    LossCurve,
    ReliabilityDiagram,
    Scatter,
    ScoreMatrix,
    Surface,
    disambiguated,
)
from app.plots.text import Canvas, as_text
from models.recommender.metrics import Bin

NAMES = ("anna", "b.c['d']", "x\\y", "<script>alert(1)</script> & Co", "datum.row || 1", "電影")

LOSSES = LossCurve.of(
    "Training 7 of class",
    "seed 1",
    "step",
    [1, 2, 3],
    {"loss": [3.0, 2.0, 1.5], "data loss": [2.0, 1.25, 1.0], "penalty": [1.0, 0.75, 0.5]},
)
ENTITIES = [
    Entity(kind=kind, name=name, values=[number / 2, -number])
    for (number, name), kind in zip(enumerate(NAMES), itertools.cycle(["user", "movie"]), strict=False)
]
HEATMAP = Heatmap(title="Heat", subtitle="few", dimensions=["violence", "a.b[0]"], entities=ENTITIES)
SCATTER = Scatter(title="Scatter", subtitle="few", x="violence", y="a.b[0]", entities=ENTITIES)
SCORES = ScoreMatrix(
    title="Scores",
    subtitle="few",
    users=list(NAMES[:2]),
    movies=list(NAMES[2:5]),
    scores=[[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]],
    responses=[[None, 1.0, 0.0], [0.5, None, None]],
)
RELIABILITY = ReliabilityDiagram(
    title="Reliable",
    subtitle="few",
    bins=[
        Bin(lower=0.0, upper=0.5, responses=4, mean_score=0.25, mean_response=0.5),
        Bin(lower=0.5, upper=0.75, responses=0, mean_score=None, mean_response=None),
        Bin(lower=0.75, upper=1.0, responses=2000, mean_score=0.875, mean_response=0.75),
    ],
)
FIT = Fit(
    title="Fit",
    subtitle="few",
    tolerance=0.5,
    inputs=[[0.0, 0.0], [1.0, 2.0]],
    targets=[[1.0], [3.0]],
    predictions=[[1.25], [2.0]],
    surface=Surface(xs=[0.0, 1.0], ys=[0.0, 1.0, 2.0], predictions=[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
)
FIGURES: dict[str, Figure] = {
    "losses": LOSSES,
    "no losses": LossCurve.of("Empty", "nothing yet", "step", [], {"loss": []}),
    "heatmap": HEATMAP,
    "scatter": SCATTER,
    "nobody": Scatter(title="Nobody", subtitle="none", x="a", y="b", entities=[]),
    "scores": SCORES,
    "no scores": ScoreMatrix(title="None", subtitle="none", users=[], movies=[], scores=[], responses=[]),
    "reliability": RELIABILITY,
    "fit": FIT,
    "fit of one input": FIT.model_copy(update={"surface": None, "inputs": [[0.0], [1.0]]}),
}
each_figure = pytest.mark.parametrize("figure", FIGURES.values(), ids=FIGURES)


def rows(figure: Figure, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = specify(figure)["datasets"][name]
    return found


def drawn(figure: Figure) -> str:
    svg: str = vl_convert.vegalite_to_svg(specify(figure), allowed_base_urls=[])
    return svg


def texts(figure: Figure) -> list[str]:
    """All texts of the picture, which must be XML."""
    picture = ET.fromstring(drawn(figure))  # noqa: S314 - drawn here
    return ["".join(each.itertext()) for each in picture.iter() if each.tag.endswith("}text")]


@each_figure
def test_a_chart_is_right_by_the_schema_and_the_same_without_asking_it(figure: Figure) -> None:
    assert specify(figure) == specify(figure, validate=False)


@each_figure
def test_a_picture_and_a_text_have_the_title_and_what_is_below_it(figure: Figure) -> None:
    shown = texts(figure)
    assert figure.title in shown
    assert figure.subtitle in shown
    assert as_text(figure).startswith(f"{figure.title}\n{figure.subtitle}\n")
    assert as_text(figure).endswith("\n")


@each_figure
def test_the_ground_is_white_and_nothing_runs(figure: Figure) -> None:
    specification = specify(figure)
    assert specification["config"]["background"] == "white"
    # An expression would be code with names of other people's choice in it.
    assert not {"transform", "params", "signal", "expr"} & set(keys(specification))
    # An address would be fetched, or lead somewhere.
    assert not {"url", "href", "image"} & set(keys(specification))
    assert "image" not in str(specification)


def keys(value: object) -> list[str]:
    if isinstance(value, dict):
        return [*value, *itertools.chain.from_iterable(map(keys, value.values()))]
    return list(itertools.chain.from_iterable(map(keys, value))) if isinstance(value, list) else []


def test_the_losses_are_there_step_by_step_for_every_series() -> None:
    shown = rows(LOSSES, "losses")
    assert [row["loss"] for row in shown if row["series"] == "loss"] == [3.0, 2.0, 1.5]
    assert [row["step"] for row in shown if row["series"] == "penalty"] == [1, 2, 3]
    assert {"loss", "data loss", "penalty", "step"} <= set(texts(LOSSES))


def test_series_differ_in_more_than_colour() -> None:
    line = specify(LOSSES)["layer"][0]["encoding"]
    dashes, colours = (line[channel]["scale"]["range"] for channel in ("strokeDash", "color"))
    assert len({tuple(dash) for dash in dashes}) == len(set(colours)) == 3


@pytest.mark.parametrize(
    ("losses", "logarithmic"),
    [
        ([5.0, 0.05], True),
        ([5.0, 0.06], False),
        ([5.0, 0.0], False),
        ([5.0, -1.0], False),
        ([1.0], False),
        ([], False),
    ],
)
def test_an_axis_is_logarithmic_where_losses_fall_a_hundredfold(
    losses: list[float],
    logarithmic: bool,  # noqa: FBT001 - a truth
) -> None:
    curve = LossCurve.of("", "", "step", range(1, len(losses) + 1), {"loss": losses})
    assert curve.is_logarithmic is logarithmic
    scale = specify(curve)["layer"][0]["encoding"]["y"]["scale"]
    assert (scale.get("type") == "log") is logarithmic
    assert ("log scale" in as_text(curve)) is logarithmic


@pytest.mark.parametrize("losses", [[0.0533], [0.09, 0.09, 0.09], [0.0, 0.0], [-2.0]])
def test_a_loss_that_stays_as_it_is_stands_between_the_ends_of_its_axis(losses: list[float]) -> None:
    figure = LossCurve.of("Flat", "", "epoch", range(1, len(losses) + 1), {"loss": losses})
    low, high = specify(figure)["layer"][0]["encoding"]["y"]["scale"]["domain"]
    assert low < losses[0] < high
    assert (low + high) / 2 == pytest.approx(losses[0])
    lines = as_text(figure).splitlines()
    rows_of = [line.split("┤") for line in lines if "┤" in line]
    labels = [float(label) for label, _ in rows_of if label.strip()]
    assert [labels[0], labels[-1]] == pytest.approx([high, low], rel=0.01)
    [at] = [row for row, (_, dots) in enumerate(rows_of) if dots.strip("\u2800 ")]
    assert at in {len(rows_of) // 2 - 1, len(rows_of) // 2}


def test_a_long_curve_keeps_its_ends_and_its_spikes() -> None:
    losses = [1.0 + (step * 7919 % 1000) / 1e6 for step in range(100_000)]
    losses[54_321], losses[77_777] = 9.0, 0.1
    curve = LossCurve.of("", "", "epoch", range(1, 100_001), {"loss": losses})
    shown = dict(zip(curve.steps, curve.series["loss"], strict=True))
    assert len(shown) <= 2002
    assert (min(shown), max(shown)) == (1, 100_000)
    assert (shown[54_322], shown[77_778]) == (9.0, 0.1)
    assert all(losses[step - 1] == loss for step, loss in shown.items())


def test_the_heatmap_has_a_number_in_every_cell() -> None:
    cells = rows(HEATMAP, "cells")
    assert [cell["value"] for cell in cells] == [value for entity in ENTITIES for value in entity.values]
    shown = texts(HEATMAP)
    for entity in ENTITIES:
        assert f"{entity.kind} {entity.name}" in shown
        for value in entity.values:
            assert (
                f"{value:.2f}".replace("-", "\N{MINUS SIGN}").replace("\N{MINUS SIGN}0.00", "0.00") in shown
            )
    assert {"violence", "a.b[0]", "dimension"} <= set(shown)


def test_zero_is_the_middle_of_the_heatmaps_colours() -> None:
    low, high = specify(HEATMAP)["layer"][0]["encoding"]["color"]["scale"]["domain"]
    assert (low, high) == (-5.0, 5.0)


def test_the_scatter_has_every_name_and_tells_users_from_movies_by_shape() -> None:
    points = rows(SCATTER, "points")
    assert [(point["x"], point["y"]) for point in points] == [tuple(one.values) for one in ENTITIES]
    assert [point["kind"] for point in points] == [entity.kind for entity in ENTITIES]
    shown = texts(SCATTER)
    assert {"violence", "a.b[0]", "user", "movie", *(point["name"] for point in points)} <= set(shown)
    assert [point["name"] for point in points if point["name"] not in NAMES] == ["<script>alert(1)</scrip…"]
    placed = [row["name"] for align in ALIGNS for row in rows(SCATTER, f"names {align}")]
    assert sorted(placed) == sorted(point["name"] for point in points)
    [shape] = [
        layer["encoding"]["shape"] for layer in specify(SCATTER)["layer"] if "shape" in layer["encoding"]
    ]
    assert len(set(shape["scale"]["range"])) == 2


def test_names_stand_beside_their_marks_and_not_on_others_where_there_is_room() -> None:
    marks = [(100.0, 100.0), (120.0, 100.0), (290.0, 190.0)]
    names = place(marks, ["first", "second", "third"], (300, 200))
    boxes = [name.box for name in names]
    taken = [Box(mark, (12, 12)) for mark in marks]
    for first, second in itertools.combinations([*boxes, *taken], 2):
        assert first.overlap(second) == 0
    picture = Box((150, 100), (300, 200))
    for box in boxes:
        assert box.overlap(picture) == pytest.approx(box.size[0] * box.size[1])
    assert [name.align for name in names] == ["right", "left", "right"]


@pytest.mark.parametrize("letters", ["i" * 24, "W" * 24, "電" * 12])
def test_a_name_stays_beside_its_mark_however_wide_the_font_draws_it(letters: str) -> None:
    [name] = place([(100.0, 100.0)], [letters], (600, 200))
    assert (name.align, name.at) == ("left", (109.0, 100.0))
    [name] = place([(500.0, 100.0)], [letters], (600, 200))
    assert (name.align, name.at) == ("right", (491.0, 100.0))


def test_the_score_matrix_shows_scores_and_what_was_answered() -> None:
    assert [cell["value"] for cell in rows(SCORES, "cells")] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    answers = [(each["row"], each["column"], each["answer"]) for each in rows(SCORES, "answers")]
    assert answers == [
        (NAMES[0], NAMES[3], "likes"),
        (NAMES[0], NAMES[4], "dislikes"),
        (NAMES[1], NAMES[2], "likes"),
    ]
    shown = texts(SCORES)
    assert {"0.10", "0.60", *SCORES.users, *SCORES.movies, "user", "movie", "like-score"} <= set(shown)


def test_the_reliability_diagram_leaves_empty_bins_out() -> None:
    assert rows(RELIABILITY, "bins") == [
        {"score": 0.25, "response": 0.5, "responses": 4},
        {"score": 0.875, "response": 0.75, "responses": 2000},
    ]
    assert {"4", "2,000", "mean score in the bin", "mean response in the bin"} <= set(texts(RELIABILITY))


def test_a_fit_says_which_predictions_are_close_and_by_more_than_colour() -> None:
    assert [(row["target"], row["prediction"], row["fit"]) for row in rows(FIT, "points")] == [
        (1.0, 1.25, "within ±0.5"),
        (3.0, 2.0, "not within ±0.5"),
    ]
    assert [round(row["high"] - row["low"], 9) for row in rows(FIT, "band")] == [1.0, 1.0]
    assert {"target", "prediction", "x1", "x2", "within ±0.5", "not within ±0.5"} <= set(texts(FIT))


def test_a_surface_has_a_rectangle_around_each_point_of_the_grid() -> None:
    cells = rows(FIT, "surface")
    assert [cell["prediction"] for cell in cells] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert [(cell["left"], cell["right"]) for cell in cells[:2]] == [(-0.5, 0.5), (0.5, 1.5)]
    assert [(cell["lower"], cell["upper"]) for cell in cells[::2]] == [(-0.5, 0.5), (0.5, 1.5), (1.5, 2.5)]


def luminance(colour: Sequence[int]) -> float:
    """The relative luminance of WCAG 2, of red, green and blue from 0 to 255."""
    parts = [part / 255 for part in colour]
    red, green, blue = (
        each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_a_number_can_be_read_on_every_cell_of_the_scale() -> None:
    values = [step / 50 for step in range(-50, 51)]
    cells = [Entity(kind="user", name=str(value), values=[value]) for value in values]
    figure = Heatmap(title="Heat", subtitle="few", dimensions=["d"], entities=cells)
    colours = re.findall(r'aria-roledescription="rect mark"[^>]* fill="rgb\(([\d, ]+)\)', drawn(figure))
    inks = [row["ink"] for row in rows(figure, "cells")]
    for colour, ink in zip(colours, inks, strict=True):
        cell, number = luminance([int(part) for part in colour.split(",")]), luminance(bytes.fromhex(ink[1:]))
        assert (max(cell, number) + 0.05) / (min(cell, number) + 0.05) >= 4.5  # WCAG's AA


def test_names_that_two_things_have_are_told_apart() -> None:
    assert disambiguated(["Heat", "Alien", "Heat"], ["1", "2", "3"]) == ["Heat (1)", "Alien", "Heat (3)"]
    assert disambiguated(["A", "A", "A (5)"], ["5", "6", "7"]) == ["A (5) (5)", "A (6)", "A (5) (7)"]


def test_the_curve_of_a_terminal_falls_where_the_loss_falls() -> None:
    lines = as_text(LOSSES).splitlines()
    assert max(map(len, lines)) <= 72
    assert len(lines) == 20
    plot = [line.partition("┤")[2] for line in lines if "┤" in line]
    first = [next((place for place, dot in enumerate(line) if dot != "\u2800"), None) for line in plot]
    assert first == sorted(place for place in first if place is not None)
    assert (first[0], len(plot[-1])) == (0, 62)
    assert lines[3].split()[0] == "3"
    assert lines[16].split()[0] == "1.5"
    assert lines[-1] == "at step 3: loss 1.5, data loss 1, penalty 0.5"


def test_braille_dots_are_where_they_are_asked_for() -> None:
    canvas = Canvas(2, 1)
    canvas.add_line([(0, 0), (1, 1)])
    canvas.add_line([(5, 5)])  # outside
    # Dots 7; 3 and 5 of the next column up; 8 would be the lower right: the bits of Unicode's block 2800.
    assert canvas.lines() == ["\u2860\u280a"]


def test_the_tables_of_a_terminal_are_aligned_and_say_what_the_figures_say() -> None:
    heat = as_text(HEATMAP).splitlines()[3:]
    assert heat[0].split() == ["violence", "a.b[0]"]
    assert heat[1].split() == ["user", "anna", "0.00", "0.00"]
    assert heat[2].endswith("0.50   -1.00")
    assert as_text(SCORES).splitlines()[4].split() == ["anna", "0.10", "0.20+", "0.30-"]
    assert "0.75 to 1.00      2,000       0.875          0.750  ███" in as_text(RELIABILITY)
    assert "1, 2         3           2     -1           no" in as_text(FIT)


def test_a_scatter_of_a_terminal_has_its_marks_and_names() -> None:
    shown = as_text(SCATTER)
    assert shown.count("●") == shown.count("▲") == 1 + 2 * 3  # in the key, the plot, the table
    assert "● anna" in shown
