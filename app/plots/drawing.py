"""The drawing process: its pool, its task and its program, which draws with the Vega that vl-convert brings.

It fetches nothing.

Its memory is not bounded as a computation's is: V8 reserves more addresses than it uses. Figures are small,
and time is bounded.
"""

import json
import os
import re
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from app.errors import OverBudget
from app.plots.figures import Figure, LossCurve
from app.processes.pool import ProcessPool, Program
from app.processes.worker import Frame, Kind, answer_tasks, only_frames

Form = Literal["svg", "png", "vega-lite"]


class DrawTask(BaseModel):
    """Draw a figure, or give its specification as JSON."""

    figure: Annotated[Figure, Field(discriminator="figure")]
    form: Form


DrawingPool = ProcessPool[DrawTask]


def make_drawing_pool(processes: int, waiting: int, seconds: float) -> DrawingPool:
    """Return a pool of so many processes, for whose attention at most ``waiting`` pictures wait."""
    program = Program(
        module="app.plots.drawing",
        argument="",
        name="drawing",
        task="a picture",
        lost=lambda cause: OverBudget(f"{cause}; ask for less: fewer users and movies"),
        off="drawing is switched off here: LIKELY_DRAWING_PROCESSES is 0; text/plain (.txt) needs none",
    )
    return ProcessPool(program, processes, waiting, seconds)


_INNER_ID = re.compile(r' id="(?:clip|gradient_)(\d+)"')
_INNER_NAME = re.compile(r'( id="(?:clip|gradient_)|url\(#(?:clip|gradient_))(\d+)')
_SCALE = 2  # pixels of a PNG for each of the picture, for screens that have two and for print


def main() -> None:
    """Draw until the input ends."""
    os.nice(10)  # where cores are short, other requests come first; so they do while altair is imported
    from altair.utils.schemapi import debug_mode

    sink = only_frames()
    with debug_mode(False):  # noqa: FBT003 - altair's; charts are checked in the tests, which takes longer
        _warm_up()

        def answer(body: bytes, _progress: Callable[[bytes], None]) -> Frame:
            return Frame(Kind.ANSWER, draw(DrawTask.model_validate_json(body)))

        answer_tasks(sink, answer)


def draw(task: DrawTask) -> bytes:
    """Return the bytes that a task asks for."""
    import vl_convert

    from app.plots.charts.chart import specify

    specification = specify(task.figure, validate=False)
    match task.form:
        case "svg":
            svg: str = vl_convert.vegalite_to_svg(specification, allowed_base_urls=[])
            return _numbered_anew(svg).encode()
        case "png":
            return vl_convert.vegalite_to_png(specification, scale=_SCALE, allowed_base_urls=[])
        case "vega-lite":
            return json.dumps(specification, allow_nan=False).encode()


def _numbered_anew(svg: str) -> str:
    """Return a picture whose inner ids count from 1; Vega's go on from picture to picture.

    So the same figure is the same bytes, which caches compare.
    """
    places = {name: str(place) for place, name in enumerate(_INNER_ID.findall(svg), 1)}
    return _INNER_NAME.sub(lambda match: f"{match[1]}{places.get(match[2], match[2])}", svg)


def _warm_up() -> None:
    """Draw one of each, so that no caller waits for what happens only the first time."""
    figure = LossCurve.of("", "", "step", [1, 2], {"loss": [2.0, 1.0]})
    for form in ("svg", "png"):
        draw(DrawTask(figure=figure, form=form))


if __name__ == "__main__":
    main()
