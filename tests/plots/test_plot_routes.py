"""Plots over HTTP: every form of every one, by suffix and by Accept, and what is refused."""

import json
import math
import struct
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

import altair as alt
import httpx2
import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from app.training.worker import Worker
from tests.models.notebook.task_six import POINTS
from tests.scoring.test_recommending import FILMS, load
from tests.support.requests.classroom import CLASS, answer, make_catalog, train
from tests.support.requests.refusals import Refusing, check_problem

LOSSES, PLOTS = f"{CLASS}/trainings/1/losses", f"{CLASS}/plots"
NEURON = {"inputs": [2.0, -1.0, 3.0], "weights": [4.0, 2.0, -1.0]}
TASK_6 = {"layers": [2, 4, 4, 1], "inputs": POINTS, "target_expression": "x1*x2 + 1"}
VEGA_LITE = f"application/vnd.vegalite.{alt.SCHEMA_VERSION.partition('.')[0]}+json"
TYPES = {
    "svg": "image/svg+xml",
    "png": "image/png",
    "json": "application/json",
    "vl.json": VEGA_LITE,
    "txt": "text/plain",
}
# The plots of the class, each with something that must be in its picture and its text.
SHOWN = {
    LOSSES: {"Training 1 of class: loss", "step"},
    f"{PLOTS}/heatmap": {"violence", "positive message", "language", "user 0", "user 2", "movie m1"},
    f"{PLOTS}/scatter": {"violence", "positive message", "0", "1", "2", "m0", "m1", "m2"},
    f"{PLOTS}/scores": {"0", "1", "2", "m0", "m1", "m2"},
}
each_plot = pytest.mark.parametrize("plot", SHOWN)


def texts(svg: bytes) -> set[str]:
    """Return all texts of a picture."""
    picture = ET.fromstring(svg)  # noqa: S314 - the service drew it
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    return {"".join(each.itertext()) for each in picture.iter() if each.tag.endswith("}text")}


def size(png: bytes) -> tuple[int, int]:
    """Return the width and height of a PNG."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def media_type(response: httpx2.Response) -> str:
    assert response.status_code == 200, response.text
    found: str = response.headers["content-type"].partition(";")[0]
    return found


def rows(specification: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = specification["datasets"][name]
    return found


@each_plot
def test_a_picture_is_svg_with_the_names_in_it(published: TestClient, plot: str) -> None:
    shown = published.get(f"{plot}.svg")
    assert media_type(shown) == TYPES["svg"]
    assert SHOWN[plot] <= texts(shown.content)


@each_plot
def test_a_picture_is_png_of_a_size_that_can_be_printed(published: TestClient, plot: str) -> None:
    shown = published.get(f"{plot}.png")
    assert media_type(shown) == TYPES["png"]
    width, height = size(shown.content)
    assert 500 < width < 2000
    assert 300 < height < 2000


@each_plot
def test_text_has_the_names_in_it(published: TestClient, plot: str) -> None:
    shown = published.get(f"{plot}.txt")
    assert shown.headers["content-type"] == "text/plain; charset=utf-8"
    assert all(name in shown.text for name in SHOWN[plot])
    assert max(map(len, shown.text.splitlines())) <= 80


@each_plot
def test_a_specification_is_vega_lite(published: TestClient, plot: str) -> None:
    shown = published.get(f"{plot}.vl.json")
    assert media_type(shown) == VEGA_LITE
    assert "vega-lite" in shown.json()["$schema"]
    if plot != LOSSES:  # of these, .json are the losses themselves
        plain = published.get(f"{plot}.json")
        assert (media_type(plain), plain.content) == (TYPES["json"], shown.content)


@each_plot
@pytest.mark.parametrize("suffix", ["svg", "png", "vl.json", "txt"])
def test_accept_gives_what_the_suffix_gives(published: TestClient, plot: str, suffix: str) -> None:
    accepted = published.get(plot, headers={"Accept": TYPES[suffix]})
    assert accepted.content == published.get(f"{plot}.{suffix}").content
    assert media_type(accepted) == TYPES[suffix]
    assert accepted.headers["vary"] == "Accept"


IMAGES = "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5"


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("*/*", "txt"),
        ("application/json", "json"),
        ("image/*", "svg"),
        (IMAGES, "svg"),
        ("image/png, image/svg+xml;q=0.5", "png"),
    ],
)
def test_curl_gets_text_and_a_browser_a_picture(published: TestClient, accept: str, chosen: str) -> None:
    assert media_type(published.get(f"{PLOTS}/scores", headers={"Accept": accept})) == TYPES[chosen]


def test_what_is_not_on_offer_is_refused_with_what_is(published: TestClient) -> None:
    for plot in (f"{PLOTS}/heatmap", f"{PLOTS}/scatter", f"{PLOTS}/scores"):
        problem = check_problem(published.get(plot, headers={"Accept": "text/html"}))
        assert (problem["status"], "image/svg+xml, image/png" in problem["detail"]) == (406, True)
        problem = check_problem(published.get(f"{plot}.pdf"))
        assert (problem["status"], problem["errors"][0]["parameter"]) == (422, "suffix")
        assert "'svg', 'png', 'json', 'vl.json' or 'txt'" in problem["detail"]


def test_the_curve_is_that_of_the_losses(published: TestClient) -> None:
    losses = published.get(f"{LOSSES}.json").json()["losses"]
    drawn = rows(published.get(f"{LOSSES}.vl.json").json(), "losses")
    for series, name in (("loss", "loss"), ("data loss", "data_loss"), ("penalty", "penalty")):
        shown = [(row["step"], row["loss"]) for row in drawn if row["series"] == series]
        assert shown == [(loss["step"], loss[name]) for loss in losses]


def test_the_heatmap_is_that_of_the_embeddings_and_vectors(published: TestClient) -> None:
    cells = rows(published.get(f"{PLOTS}/heatmap.json").json(), "cells")
    shown = {(cell["row"], cell["column"]): cell["value"] for cell in cells}
    for user in ("0", "1", "2"):
        for name, value in published.get(f"{CLASS}/users/{user}/embedding").json()["embedding"].items():
            assert shown.pop((f"user {user}", name)) == pytest.approx(value, rel=1e-6)
    assert shown.pop(("movie m1", "violence")) == -0.7
    assert len(shown) == 8


def test_the_scatter_takes_any_two_dimensions(published: TestClient) -> None:
    for query, axes in (
        ("", ("violence", "positive message")),
        ("?x=language", ("language", "violence")),
        ("?y=violence", ("positive message", "violence")),
        ("?x=language&y=positive message", ("language", "positive message")),
        ("?x=language&y=language", ("language", "language")),
    ):
        specification = published.get(f"{PLOTS}/scatter.json{query}").json()
        marks = next(layer for layer in specification["layer"] if layer["mark"]["type"] == "point")
        assert tuple(marks["encoding"][axis]["title"] for axis in ("x", "y")) == axes
        points = rows(specification, "points")
        embedding = published.get(f"{CLASS}/users/0/embedding").json()["embedding"]
        assert (points[0]["x"], points[0]["y"]) == pytest.approx([embedding[axis] for axis in axes])


def test_the_score_matrix_is_that_of_the_scores_and_responses(published: TestClient) -> None:
    specification = published.get(f"{PLOTS}/scores.json").json()
    for user in ("0", "1", "2"):
        scores = published.get(f"{CLASS}/users/{user}/scores").json()["scores"]
        shown = {
            cell["column"]: cell["value"] for cell in rows(specification, "cells") if cell["row"] == user
        }
        assert shown == pytest.approx({score["movie"]: score["score"] for score in scores})
        likes = [
            each["column"]
            for each in rows(specification, "answers")
            if (each["row"], each["answer"]) == (user, "likes")
        ]
        assert likes == [f"m{user}"]


@pytest.mark.parametrize("plot", ["heatmap", "scatter", "scores"])
def test_users_and_movies_can_be_chosen_and_keep_their_order(published: TestClient, plot: str) -> None:
    shown = published.get(f"{PLOTS}/{plot}.txt?user=2&user=0&user=2&movie=m1").text
    assert "2 of 3 users, 1 of 3 movies" in shown
    assert "m1" in shown
    assert "m0" not in shown
    *_, table = shown.split("\n\n")[:-1] if plot == "scores" else shown.split("\n\n")
    names = [line.split()[0 if plot == "scores" else 1] for line in table.splitlines()[1:]]
    assert names[:2] == ["2", "0"]


def test_a_large_catalog_is_shown_in_part_and_says_so(client: TestClient, worker: Worker) -> None:
    vectors = {f"movie {number:02}": (number / 10, 1.0, -1.0) for number in range(40)}
    given = {f"user {number:02}": {"movie 00": 1, "movie 01": 0} for number in range(30)}
    path = make_catalog(client, "large", given, vectors)
    train(client, worker, path, options={"epochs": 2})
    for plot in ("heatmap", "scatter", "scores"):
        shown = client.get(f"{path}/plots/{plot}").text
        assert "12 of 30 users, 12 of 40 movies" in shown
        assert "user 11" in shown or plot == "scores"
        assert "user 12" not in shown
    many = "&".join(f"movie=movie {number % 40:02}" for number in range(51))
    problem = check_problem(client.get(f"{path}/plots/scores?{many}"))
    assert (problem["status"], problem["errors"][0]["parameter"]) == (422, "movie")


def test_a_training_that_does_not_serve_can_be_shown(
    client: TestClient, worker: Worker, trained: str
) -> None:
    before = client.get(f"{trained}/plots/heatmap.txt").text
    other = train(client, worker, trained, options={"epochs": 1}, serve=False)["id"]
    shown = client.get(f"{trained}/plots/heatmap.txt", params={"training": other}).text
    assert f"training {other} " in shown
    assert shown.splitlines()[4:] != before.splitlines()[4:]
    assert client.get(f"{trained}/plots/heatmap.txt").text == before


def test_a_response_changes_the_next_plot(client: TestClient, trained: str) -> None:
    before = client.get(f"{trained}/plots/scores.txt").text
    answer(client, trained, "0", "m0", 0)
    after = client.get(f"{trained}/plots/scores.txt").text
    assert [
        line[:2] == "0 "
        for line, other in zip(after.split("\n"), before.split("\n"), strict=True)
        if line != other
    ] == [True]


def test_movies_of_one_title_are_told_apart(client: TestClient, trained: str) -> None:
    for movie in ("m0", "m1"):
        body = {"title": "Heat & <Dust>", "vector": [1, 2, 3]}
        assert client.put(f"{trained}/movies/{movie}", json=body).is_success
    assert {"Heat & <Dust> (m0)", "Heat & <Dust> (m1)"} <= texts(
        client.get(f"{trained}/plots/scores.svg").content
    )


@pytest.mark.parametrize(
    ("query", "status", "parameter", "said"),
    [
        ("scatter?x=vio", 422, "x", "'violence', 'positive message', 'language'"),
        ("scatter?y=vio", 422, "y", "'violence', 'positive message', 'language'"),
        ("heatmap?dimension=vio", 422, "dimension", "'violence', 'positive message', 'language'"),
        ("heatmap?user=nobody", 404, "user", "'nobody'"),
        ("scatter?user=0&user=nobody", 404, "user", "'nobody'"),
        ("scores?movie=nothing", 404, "movie", "'nothing'"),
        ("scores?training=99", 404, "training", "no training 99"),
        ("scores?training=0", 422, "training", "greater than or equal to 1"),
        ("scores?x=violence", 422, "x", "there is movie, training, user"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(
    refusing: Refusing, query: str, status: int, parameter: str, said: str
) -> None:
    for path in (query, query.replace("?", ".svg?")):
        problem = refusing.refuse("GET", f"{PLOTS}/{path}", status)
        assert [place["parameter"] for place in problem["errors"]] == [parameter]
        assert said in problem["detail"]


def test_what_nothing_was_learned_of_is_a_conflict_that_says_what_to_do(
    client: TestClient, class_catalog: str
) -> None:
    path = f"/v1/catalogs/{class_catalog}"
    assert "starts a training" in check_problem(client.get(f"{path}/plots/scores"))["detail"]
    queued = client.post(f"{path}/trainings", json={"trainer": "gradient_descent"}).json()["id"]
    problem = check_problem(client.get(f"{path}/plots/scores?training={queued}"))
    assert (problem["status"], "is queued" in problem["detail"]) == (409, True)
    assert "no step yet" in client.get(f"{path}/trainings/{queued}/losses.txt").text
    assert texts(client.get(f"{path}/trainings/{queued}/losses.svg").content)


def test_a_catalog_without_dimensions_has_scores_to_show(client: TestClient, worker: Worker) -> None:
    client.put("/v1/catalogs/bare", json={"dimensions": []})
    client.put("/v1/catalogs/bare/movies/m", json={"vector": []})
    answer(client, "/v1/catalogs/bare", "u", "m", 1)
    train(client, worker, "/v1/catalogs/bare", trainer="mixed_effects")
    assert media_type(client.get("/v1/catalogs/bare/plots/scores")) == "text/plain"
    for plot in ("heatmap", "scatter"):
        problem = check_problem(client.get(f"/v1/catalogs/bare/plots/{plot}"))
        assert (problem["status"], "plots/scores" in problem["detail"]) == (409, True)


def test_a_training_without_users_has_nothing_to_show_and_says_so(client: TestClient, trained: str) -> None:
    for user in ("0", "1", "2"):
        client.delete(f"{trained}/users/{user}")
    for plot in ("heatmap", "scatter", "scores"):
        assert "0 of 0 users, 3 of 3 movies" in client.get(f"{trained}/plots/{plot}.txt").text
        assert media_type(client.get(f"{trained}/plots/{plot}.svg")) == TYPES["svg"]


def test_the_reliability_diagram_is_that_of_the_training(client: TestClient, worker: Worker) -> None:
    load(client)
    training = train(client, worker, FILMS, trainer="mixed_effects", holdout={"fraction": 0.3, "by": "seed"})
    path = f"{FILMS}/trainings/{training['id']}/reliability"
    bins = [each for each in training["metrics"]["held_out"]["reliability"] if each["responses"]]
    assert [row["response"] for row in rows(client.get(f"{path}.vl.json").json(), "bins")] == [
        each["mean_response"] for each in bins
    ]
    assert "mean score in the bin" in texts(client.get(f"{path}.svg").content)
    assert size(client.get(f"{path}.png").content) > (500, 500)
    assert client.get(path).text == client.get(f"{path}.txt").text
    assert f"{bins[0]['responses']}" in client.get(path).text


def test_without_a_holdout_there_is_no_reliability_and_a_word_how_to_get_one(
    published: TestClient, client: TestClient, class_catalog: str
) -> None:
    problem = check_problem(published.get(f"{CLASS}/trainings/1/reliability.svg"))
    assert (problem["status"], '"holdout"' in problem["detail"]) == (409, True)
    body = {"trainer": "gradient_descent", "holdout": {"last_n": 1}}
    location = client.post(f"/v1/catalogs/{class_catalog}/trainings", json=body).headers["location"]
    assert "is queued" in check_problem(client.get(f"{location}/reliability"))["detail"]
    client.post(f"{location}:cancel")
    assert "cancelled before" in check_problem(client.get(f"{location}/reliability"))["detail"]


def test_the_neuron_of_the_class_is_trained_and_its_losses_are_drawn(published: TestClient) -> None:
    path = "/v1/compute/neuron/losses"
    shown = {suffix: published.post(f"{path}.{suffix}", json=NEURON) for suffix in TYPES}
    assert {suffix: media_type(each) for suffix, each in shown.items()} == TYPES
    assert {"Neuron: loss", "epoch", "loss (log scale)"} <= texts(shown["svg"].content)
    assert "output 0.65 at the end" in shown["txt"].text
    assert published.post(path, json=NEURON).text == shown["txt"].text
    trained = published.post("/v1/compute/neuron", json=NEURON).json()
    assert [row["loss"] for row in rows(shown["json"].json(), "losses")] == trained["losses"]


@pytest.mark.parametrize("layer", ["weights", "linear"])
def test_a_neuron_that_cannot_be_trained_is_refused_as_a_plot_too(refusing: Refusing, layer: str) -> None:
    body = {**NEURON, "weights": [1.0], "layer": layer}
    problem = refusing.refuse("POST", "/v1/compute/neuron/losses.svg", 422, content=json.dumps(body))
    assert problem["errors"][0]["pointer"] == "/weights"


@pytest.mark.parametrize("plot", ["losses", "fit"])
def test_a_network_is_trained_and_drawn(published: TestClient, plot: str) -> None:
    path = f"/v1/compute/mlp/{plot}"
    shown = {suffix: published.post(f"{path}.{suffix}", json=TASK_6) for suffix in TYPES}
    assert {suffix: media_type(each) for suffix, each in shown.items()} == TYPES
    assert "Network 2-4-4-1" in shown["txt"].text
    assert {"losses": {"epoch", "loss (log scale)"}, "fit": {"target", "prediction", "x1", "x2"}}[
        plot
    ] <= texts(shown["svg"].content)
    assert size(shown["png"].content) > (800, 400)
    assert published.post(path, json=TASK_6).text == shown["txt"].text
    assert published.post(path, json=TASK_6, headers={"Accept": "image/*"}).content == shown["svg"].content


def test_a_networks_plots_are_of_what_it_computes(published: TestClient) -> None:
    trained = published.post("/v1/compute/mlp", json=TASK_6).json()
    losses = rows(published.post("/v1/compute/mlp/losses.json", json=TASK_6).json(), "losses")
    assert [row["loss"] for row in losses] == trained["losses"]
    points = rows(published.post("/v1/compute/mlp/fit.json", json=TASK_6).json(), "points")
    assert [[row["prediction"]] for row in points] == trained["predictions"]
    assert [[row["target"]] for row in points] == trained["targets"]


def test_a_surface_is_the_networks_prediction_where_the_expression_has_none(published: TestClient) -> None:
    network = {"layers": [2, 3, 1], "inputs": [[1, 1], [2, 2], [4, 2]], "epochs": 20}
    body = {**network, "target_expression": "log(x1 - 0.8) * x2"}  # the surface begins left of 0.8
    specification = published.post("/v1/compute/mlp/fit.json", json=body).json()
    cells = rows(specification, "surface")
    assert len(cells) == 25 * 25
    assert min(cell["left"] for cell in cells) < 0.8
    middles = [
        [(cell["left"] + cell["right"]) / 2, (cell["lower"] + cell["upper"]) / 2] for cell in cells[::77]
    ]
    targets = [row["target"] for row in rows(specification, "points")]
    assert targets == pytest.approx([math.log(0.2), 2 * math.log(1.2), 2 * math.log(3.2)])
    plain = {**network, "targets": targets, "evaluate": middles}
    outputs = published.post("/v1/compute/mlp", json=plain).json()["evaluations"]
    assert [each["output"][0] for each in outputs] == pytest.approx(
        [cell["prediction"] for cell in cells[::77]], abs=1e-5
    )


@pytest.mark.parametrize("layers", [[1, 2, 1], [3, 2, 1], [2, 2, 2]])
def test_a_network_of_other_sizes_has_no_surface(published: TestClient, layers: list[int]) -> None:
    body = {"layers": layers, "inputs": [[1.0] * layers[0]], "targets": [[2.0] * layers[-1]], "epochs": 3}
    found = published.post("/v1/compute/mlp/fit.json", json=body).json()
    assert "surface" not in found["datasets"]
    assert len(rows(found, "points")) == layers[-1]


def test_a_fit_of_many_outputs_is_shown_in_part_and_says_so(published: TestClient) -> None:
    body = {"layers": [1, 1, 500], "inputs": [[0.1], [0.2], [0.3]], "targets": [[1.0] * 500] * 3, "epochs": 2}
    found = published.post("/v1/compute/mlp/fit.json", json=body).json()
    assert len(rows(found, "points")) == 1000
    assert "1 more points are not shown" in json.dumps(found)


@pytest.mark.parametrize("plot", ["losses", "fit", "losses.svg", "fit.png"])
def test_what_a_network_is_refused_for_it_is_refused_for_as_a_plot(refusing: Refusing, plot: str) -> None:
    for wrong, status, pointer in (
        ({"target_expression": "x1 +"}, 422, "/target_expression"),
        ({"target_expression": "x3"}, 422, "/target_expression"),
        ({"inputs": [[0], [1, 2]]}, 422, "/inputs/0"),
        ({"layers": [2, 500, 500, 1]}, 422, "/layers"),
        ({"epochs": 100_001}, 413, "/epochs"),
        ({"weights": ["w_13^(1)"]}, 422, "/weights/0"),
        ({"nonsense": 1}, 422, "/nonsense"),
    ):
        body = json.dumps({**TASK_6, **wrong})
        problem = refusing.refuse("POST", f"/v1/compute/mlp/{plot}", status, content=body)
        assert [place["pointer"] for place in problem["errors"]] == [pointer]


@pytest.fixture
def drawless(settings: Settings) -> Iterator[TestClient]:
    """A service that does not draw."""
    with TestClient(create_app(settings.model_copy(update={"drawing_processes": 0}))) as client:
        yield client


def test_without_processes_that_draw_there_is_text(
    drawless: TestClient, worker: Worker, class_catalog: str
) -> None:
    train(drawless, worker, f"/v1/catalogs/{class_catalog}", options={"epochs": 2})
    assert "0.60" in drawless.get(f"{PLOTS}/heatmap").text
    refused = drawless.get(f"{PLOTS}/heatmap.svg")
    assert refused.status_code == 503
    assert "retry-after" not in refused.headers  # trying again is no use
    assert "LIKELY_DRAWING_PROCESSES is 0" in refused.json()["detail"]
    assert ".txt" in refused.json()["detail"]
    # What the client has is not drawn, so no process is needed to say so.
    assert drawless.get(f"{PLOTS}/heatmap.svg", headers={"If-None-Match": "*"}).status_code == 304
