"""The dashboard and the alerts ask only for metrics that there are, by labels that these have."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.observability.test_metrics import OPERATIONS, documented
from tests.support.documents.checkout import ROOT

DASHBOARD = json.loads((ROOT / "deploy" / "grafana.json").read_text())
ALERTS = [
    rule
    for group in yaml.safe_load((ROOT / "deploy" / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]

OF_PROMETHEUS = {"job", "instance"}  # it puts these on every metric
FUNCTIONS = {"sum", "max", "min", "topk", "rate", "increase", "changes", "histogram_quantile"}
WORDS = {"by", "and", "offset"}
SUFFIXES = {"counter": {"_total"}, "histogram": {"_bucket", "_sum", "_count"}, "gauge": {""}}

_GROUPED = re.compile(r"\bby \(([^)]*)\)")
_SELECTED = re.compile(r"(\w+)\{([^}]*)\}")
_NAME = re.compile(r"(?<![\w$])[a-zA-Z_]\w*")


def known() -> dict[str, set[str]]:
    """Return what a query may name, with its labels."""
    return {
        name + suffix: labels | OF_PROMETHEUS | ({"le"} if suffix == "_bucket" else set())
        for name, (kind, labels) in documented().items()
        for suffix in SUFFIXES[kind]
    } | {"up": OF_PROMETHEUS}


def faults(query: str) -> Iterator[str]:
    """Say what a query names that there is not."""
    metrics, plain = known(), re.sub(r'"[^"]*"', '""', query)
    if plain.count("(") != plain.count(")") or plain.count("{") != plain.count("}"):
        yield "brackets"
    asked = [metrics.get(name, set()) for name, _ in _SELECTED.findall(plain)]
    for name, selected in _SELECTED.findall(plain):
        for label in re.findall(r"(\w+)(?:=~|!~|!=|=)", selected):
            if label not in metrics.get(name, set()):
                yield f"{name} has no label {label}"
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b\d[\w.]*", "", _GROUPED.sub("", plain))
    names = set(_NAME.findall(bare))
    asked += [metrics[name] for name in names & metrics.keys()]
    for grouped in _GROUPED.findall(plain):
        for label in grouped.split(", "):
            if not any(label in labels for labels in asked):
                yield f"nothing here has the label {label}"
    yield from (f"there is no {name}" for name in names - metrics.keys() - FUNCTIONS - WORDS)


@pytest.mark.parametrize(
    "query",
    [
        'sum(rate(likely_nothing_total{job="a"}[5m]))',
        'likely_requests_total{colour="red"}',
        "sum by (colour) (likely_web_processes)",
        "likely_requests",  # a counter's samples end with _total
        "sum(rate(likely_requests_total[5m])",
        "average(likely_web_processes)",
    ],
)
def test_what_there_is_not_is_found(query: str) -> None:
    assert list(faults(query))


def _queries() -> list[tuple[str, str]]:
    return [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]


@pytest.mark.parametrize(("title", "query"), _queries())
def test_a_panel_asks_for_what_there_is(title: str, query: str) -> None:
    assert list(faults(query)) == [], title


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_what_there_is_and_the_page_says_what_to_do_then(rule: dict[str, Any]) -> None:
    assert list(faults(rule["expr"])) == []
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"]
    item = (
        rf"^- \*\*`{rule['alert']}`\*\* \({rule['labels']['severity']}\): .+? \*To\s+do:\* (.+?)\n(?=- |\n)"
    )
    [remedy] = re.findall(item, OPERATIONS.read_text(), re.MULTILINE | re.DOTALL)
    assert len(remedy) > 40


def test_every_metric_is_on_the_dashboard() -> None:
    asked = " ".join(query for _, query in _queries())
    assert [name for name in documented() if name not in asked] == []


def test_panels_do_not_lie_over_each_other_and_each_has_a_number() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
