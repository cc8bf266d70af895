"""The processes that draw: bounded in time, replaced, and cut off from every network."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Coroutine

import pytest
import vl_convert

from app.errors import OverBudget
from app.plots.drawing import DrawingPool, DrawTask, make_drawing_pool
from app.plots.figures import LossCurve
from testbed.live import children_of, command_of
from tests.support.pools import tell_in

CURVE = LossCurve.of("A curve", "of losses", "step", [1, 2, 3], {"loss": [3.0, 2.0, 1.0]})
DRAW = DrawTask(figure=CURVE, form="svg")
Story = Callable[[DrawingPool], Coroutine[None, None, None]]


def processes() -> set[int]:
    return {child for child in children_of(os.getpid()) if "app.plots.drawing" in command_of(child)}


def tell(story: Story, seconds: float = 60) -> None:
    """Run a story with a pool of its own, and see that the pool leaves no process behind."""
    before = processes()

    tell_in(make_drawing_pool(1, 64, seconds), story)
    assert processes() == before


def test_a_process_draws_one_picture_after_the_other_and_the_same_figure_alike() -> None:
    async def story(pool: DrawingPool) -> None:
        first, second = [await pool.run(DRAW) for _ in range(2)]
        assert first == second
        assert b">A curve</text>" in first
        assert (await pool.run(DrawTask(figure=CURVE, form="png"))).startswith(b"\x89PNG")

    tell(story)


def test_a_picture_over_its_time_is_refused() -> None:
    async def story(pool: DrawingPool) -> None:
        with pytest.raises(OverBudget, match=r"0\.001 seconds that a picture has; ask for less: fewer users"):
            await pool.run(DRAW)

    tell(story, seconds=0.001)


def test_a_process_that_died_is_replaced() -> None:
    async def story(pool: DrawingPool) -> None:
        before = processes()
        first = await pool.run(DRAW)
        os.kill((processes() - before or processes()).pop(), signal.SIGKILL)
        assert await pool.run(DRAW) == first

    tell(story)


def test_the_process_that_draws_has_no_torch_and_the_web_process_no_altair() -> None:
    for module, absent in (("app.main", ["altair", "vl_convert"]), ("app.plots.drawing", ["torch"])):
        # What the program imports when it runs is in its functions.
        also = (
            "import altair, vl_convert, app.plots.charts.chart, app.plots.drawing"
            if absent == ["torch"]
            else ""
        )
        code = f"import sys, {module}\n{also}\nsys.exit(any(name in sys.modules for name in {absent}))"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0, module


def test_drawing_fetches_nothing() -> None:
    """No data of an address, should one ever come into a specification."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/x.csv"
        with pytest.raises(ValueError, match="not allowed"):
            vl_convert.vegalite_to_svg({"data": {"url": address}, "mark": "point"}, allowed_base_urls=[])
        with pytest.raises(BlockingIOError):
            server.accept()
