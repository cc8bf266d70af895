"""The console's files: all are served, none is anything but itself, and none needs another host."""

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.support.documents.checkout import ROOT
from tests.support.requests.refusals import check_problem

PAGES = ROOT / "app" / "web" / "console" / "static"
FILES = sorted(PAGES.iterdir())
SCRIPTS = [file for file in FILES if file.suffix == ".js"]
MEDIA = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}

each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)


def test_the_front_door_is_the_page(published: TestClient) -> None:
    front = published.get("/")
    assert front.status_code == 200
    assert front.headers["content-type"].startswith("text/html")
    assert front.content == (PAGES / "index.html").read_bytes()


@each_file
def test_every_file_is_served_as_what_it_is(published: TestClient, file: Path) -> None:
    answer = published.get(f"/console/{file.name}")
    assert answer.status_code == 200
    assert answer.content == file.read_bytes()
    assert answer.headers["content-type"].partition(";")[0] == MEDIA[file.suffix]
    head = published.head(f"/console/{file.name}")
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", answer.headers["etag"])


@pytest.mark.parametrize("path", ["/", "/console/console.js", "/console/console.css"])
def test_a_file_is_sent_again_only_when_it_changed(published: TestClient, path: str) -> None:
    first = published.get(path)
    assert first.headers["cache-control"] == "no-cache"
    same = published.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    assert published.get(path, headers={"If-None-Match": '"another"'}).content == first.content


def test_nothing_that_is_typed_can_become_code(published: TestClient) -> None:
    for path in ("/", "/console/console.js"):
        headers = published.get(path).headers
        policy = dict(
            directive.strip().split(" ", 1) for directive in headers["content-security-policy"].split(";")
        )
        assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "name", ["nothing.js", "..%2Fmain.py", "%2e%2e", "..%5Cmain.py", "%2Fetc%2Fpasswd", "INDEX.HTML", "%00"]
)
def test_what_is_not_in_the_folder_is_not_there(published: TestClient, name: str) -> None:
    assert check_problem(published.get(f"/console/{name}"))["status"] == 404


def test_the_page_loads_every_script_and_only_files_that_there_are(published: TestClient) -> None:
    page = published.get("/").text
    linked = set(re.findall(r"(?:src|href)=\"(/console/[^\"]+)\"", page))
    assert {f"/console/{script.name}" for script in SCRIPTS} <= linked
    for path in linked | {"/docs"}:
        assert published.get(path).status_code == 200, path
    for script in SCRIPTS:
        for imported in re.findall(r"^import .* from \"\./(.+)\";$", script.read_text(), re.MULTILINE):
            assert (PAGES / imported).is_file(), f"{script.name} imports {imported}"


@each_file
def test_no_file_names_another_host(file: Path) -> None:
    addresses = re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"']*", file.read_text())
    assert [address for address in addresses if address != "http://www.w3.org/2000/svg"] == []


def test_the_page_has_no_script_or_style_in_its_text() -> None:
    page = (PAGES / "index.html").read_text()
    assert re.findall(r"<script(?![^>]*\ssrc=)", page) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=|javascript:", page) == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_scripts_build_nodes_and_say_what_they_are_for(script: Path) -> None:
    text = script.read_text()
    assert re.match(r"/\*\* [A-Z].*\.", text), "a script begins with what it is"
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setTimeout\(['\"]"
    )
    assert re.findall(forbidden, text) == []


def test_the_console_stays_small() -> None:
    assert sum(len(script.read_text().splitlines()) for script in SCRIPTS) < 1500
