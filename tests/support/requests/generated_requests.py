"""Hostile requests to /v1/compute, made from a seed: none may be answered late, wrongly or with a 5xx.

Programs are those of `tests/models/notebook/generated_programs.py`; the bodies of networks are right ones
with something in them replaced, left out, repeated or nested, some no longer JSON. One in a thousand takes
all of its time. At the end come the largest bodies, one by one, each beside others' GET /livez. Run as a
program with a count (100,000 take ten minutes): `python -m tests.support.requests.generated_requests 100000`.
"""

import argparse
import copy
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from app.settings import Settings
from testbed.live import Service, serving, wait_until_warm
from tests.models.notebook.generated_programs import hostile

TENSOR, TEXT, GRADIENT = "/v1/compute/tensor", "/v1/compute/tensor.txt", "/v1/compute/gradient"
NEURON, MLP = "/v1/compute/neuron", "/v1/compute/mlp"
BUDGET, MARGIN = 2.0, 0.25
CONNECTIONS = 8
ACCEPTED = Settings().compute_body_bytes
# Processes beside one a connection, so that nobody waits for one that is replaced: the budget has no waiting.
SPARE = 2
_TOGETHER = 1000

VARIABLES = {"a": [1.0, 1.0, 1.0], "b": [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]], "c": 2.0, "m": [[1.0] * 3] * 2}
POINTS = [[1.0, 1.0], [0.0, 0.0], [2.0, -1.0]]


@dataclass(frozen=True)
class Sent:
    """One request."""

    path: str
    body: bytes
    media_type: str = "application/json"


def request(seed: int) -> Sent:
    """Make one request; the same seed makes the same."""
    source = random.Random(seed)
    if is_endless(seed):
        return _endless(source)
    write = (_tensor, _text, _gradient, _neuron, _mlp)[seed % 5]
    return write(source, hostile(seed))


def is_endless(seed: int) -> bool:
    """Return whether the request of a seed is one that takes all of its time."""
    return seed % 1000 == 500


def _endless(source: random.Random) -> Sent:
    """Make one that is right in everything and takes longer than it may."""
    if source.random() < 0.5:
        wide = {"inputs": [1.0] * 1000, "weights": [0.0] * 1000, "epochs": 100_000}
        return Sent(NEURON, json.dumps(wide).encode())
    network = {"layers": [1, 300, 300, 1], "inputs": [[1.0]] * 1000, "targets": [1.0] * 1000}
    return Sent(MLP, json.dumps({**network, "epochs": 100_000}).encode())


def _tensor(source: random.Random, program: str) -> Sent:
    body = {"program": program, "variables": VARIABLES, "dtype": source.choice(["float32", "float64"])}
    return Sent(TENSOR, json.dumps(body).encode())


def _text(_source: random.Random, program: str) -> Sent:
    return Sent(TEXT, program.encode(errors="surrogatepass"), "text/plain")


def _gradient(source: random.Random, program: str) -> Sent:
    scalar = "\n" not in program and source.random() < 0.7
    body = {
        "expression": f"sum({program})" if scalar else program,
        "variables": VARIABLES,
        "order": source.choice([1, 1, 2]),
        "check": source.random() < 0.3,
        "graph": source.random() < 0.3,
    }
    return Sent(GRADIENT, json.dumps(body).encode())


def _neuron(source: random.Random, _program: str) -> Sent:
    body = {
        "inputs": [2.0, -1.0, 3.0],
        "weights": [4.0, 2.0, -1.0],
        "target": 0.65,
        "learning_rate": 0.1,
        "epochs": 3,
        "layer": source.choice(["weights", "linear"]),
        "trace": source.choice(["ends", "all"]),
    }
    return Sent(NEURON, _mutated(source, body))


def _mlp(source: random.Random, program: str) -> Sent:
    body = {
        "layers": [2, 4, 1],
        "inputs": POINTS,
        "targets": [2.0, [1.0], -1.0],
        "activation": source.choice(["sigmoid", "tanh", "relu"]),
        "optimizer": source.choice(["nesterov", "sgd", "adam"]),
        "learning_rate": 0.1,
        "epochs": 3,
        "seed": 1,
        "evaluate": [[3.0, 3.0]],
        "weights": ["w_12^(1)"],
        "stream": source.random() < 0.3,
    }
    if source.random() < 0.5:
        wrong = source.choice(["x1", "x1 * x2 +", "sum(", "x1 + "]) + program
        body |= {"targets": None, "target_expression": source.choice([program, wrong])}
    return Sent(MLP, _mutated(source, body))


def _nested(depth: int) -> object:
    value: object = 1.0
    for _ in range(depth):
        value = [value]
    return value


# What stands in for a value. The last few are long, and chosen less often.
VALUES: tuple[object, ...] = (
    *(None, True, False, 0, -1, 1, 2, 1000, 100_001, -0.0, 0.5, 1e-320, 1e38, 1e39, 1e308, -1e308),
    *(10**30, -(10**400), 2**63, float("nan"), float("inf"), float("-inf")),
    *("", "NaN", "1", "Infinity", "é\ud800\x00", "w_12^(9)", "b_" + "1" * 30 + "^(1)", "__class__"),
    *([], {}, [[]], [0], [[1, 2, 3]], [1, [2]], ["1"], {"__class__": 1}, _nested(60), _nested(300)),
)
LONG: tuple[object, ...] = ([0.5] * 1000, [1] * 1001, [[0.5, 0.5]] * 1000, "9" * 100_000, [0.1] * 100_000)
TOKENS = (
    *(
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"-",
        b"0x1",
        b'"',
        b"\\",
        b"\\ud800",
        b"\xff",
        b"\xed\xa0\x80",
        b"\x00",
    ),
    *(b"{", b"}", b"[", b"]", b",", b":", b"null", b"9" * 5000, b"[" * 100_000, b"\xef\xbb\xbf", b'"a":1,'),
)


def _mutated(source: random.Random, body: dict[str, Any]) -> bytes:
    """Write a body with one to three things wrong in it, or none."""
    complete: list[Any] = [json.loads(json.dumps(body))]
    for _ in range(source.randint(0, 3)):
        _mutate(source, complete)
    text = json.dumps(complete[0]).encode()
    if source.random() < 0.15:
        at = source.randrange(len(text) + 1)
        text = text[:at] + source.choice(TOKENS) + text[at + source.randint(0, 3) :]
    return text


def _mutate(source: random.Random, complete: list[Any]) -> None:
    container, key = _somewhere(source, complete)
    kind = source.random()
    if kind < 0.6:
        container[key] = copy.deepcopy(source.choice(LONG if source.random() < 0.05 else VALUES))
    elif kind < 0.75 and container is not complete:
        del container[key]
    elif kind < 0.85:
        container[key] = [container[key]] * source.choice([1, 2, 5])
    elif isinstance(container, list) and container is not complete:
        container.insert(source.randrange(len(container) + 1), container[key])
    elif isinstance(container, dict):
        container[source.choice(["", "é", "__proto__", "\ud800", "epochs", "weights"])] = 7


def _somewhere(source: random.Random, complete: list[Any]) -> tuple[Any, Any]:
    """Choose a value of the body, by what it is in and its name or place there."""
    container: Any = complete
    key: Any = 0
    while isinstance(container[key], dict | list) and container[key] and source.random() < 0.8:
        container = container[key]
        keys = list(container) if isinstance(container, dict) else range(len(container))
        key = source.choice(keys)
    return container, key


@dataclass
class Seen:
    """What came back, and whatever may not; an answer may be ``margin`` seconds over the budget."""

    margin: float = MARGIN
    statuses: Counter[str] = field(default_factory=Counter)
    longest: float = 0.0
    longest_of: str = ""
    over_budget: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def add(self, name: str, answer: httpx2.Response, seconds: float, *, endless: bool = False) -> None:
        """Count the answer to a request of this name."""
        if seconds > self.longest:
            self.longest, self.longest_of = seconds, name
        said = _said(answer)
        self.statuses[said] += 1
        if said.endswith("over budget") and not endless:
            self.over_budget.append(name)
        wrong = _wrong(answer)
        if seconds > BUDGET + self.margin:
            wrong = f"took {seconds:.2f} s"
        if wrong:
            self.faults.append(f"{name}: {wrong}: {answer.status_code} {answer.text[:300]!r}")


def _said(answer: httpx2.Response) -> str:
    over = answer.status_code == 422 and b"urn:likely:problem:over-budget" in answer.content
    return f"{answer.status_code}{' over budget' if over else ''}"


def _wrong(answer: httpx2.Response) -> str | None:
    """Return what is wrong with an answer, whatever it answers."""
    if answer.status_code not in {200, 400, 413, 422}:
        return "neither an answer nor a refusal of what was sent"
    media_type = answer.headers["content-type"]
    try:
        if media_type.startswith("text/event-stream"):
            *_, last = answer.content.decode().strip().split("\n\n")
            return (
                None if last.startswith(("event: succeeded\n", "event: failed\n")) else "a stream without end"
            )
        if media_type.startswith("text/plain"):
            answer.content.decode()
            return None if answer.status_code == 200 else "a refusal that is no problem"
        result = json.loads(answer.content.decode(), parse_constant=_no_constant)
    except ValueError as error:
        return f"no JSON or no UTF-8 ({error})"
    if answer.status_code == 200:
        return None
    complete = media_type == "application/problem+json" and result["status"] == answer.status_code
    return None if complete and result["detail"] else "a refusal that is no problem"


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


@contextmanager
def ready(connections: int) -> Iterator[Service]:
    """Run a service with enough warm compute processes for so many connections."""
    settings = {
        "LIKELY_COMPUTE_PROCESSES": str(connections + SPARE),
        "LIKELY_COMPUTE_SECONDS": str(BUDGET),
    }
    with tempfile.TemporaryDirectory() as name, serving(Path(name), settings, "--no-worker") as service:
        wait_until_warm(service, connections + SPARE)
        yield service


def send(
    service: Service,
    seeds: range,
    connections: int = CONNECTIONS,
    news: Callable[[Seen], None] | None = None,
    margin: float = MARGIN,
) -> Seen:
    """Send the requests of these seeds, and return what came back; the service must still answer then.

    A thousand are made before they are sent: nobody makes requests while answers are timed.
    """
    seen = Seen(margin)
    clients = [httpx2.Client(base_url=service.url, timeout=60) for _ in range(connections)]
    with ThreadPoolExecutor(connections) as pool:
        for first in range(seeds.start, seeds.stop, _TOGETHER):
            made = iter([(seed, request(seed)) for seed in range(first, min(first + _TOGETHER, seeds.stop))])
            for sending in [pool.submit(_send, client, made, seen) for client in clients]:
                sending.result()
            if news is not None:
                news(seen)
    for client in clients:
        client.close()
    _see_that_it_computes(service, seen)
    return seen


def _send(client: httpx2.Client, made: Iterator[tuple[int, Sent]], seen: Seen) -> None:
    for seed, sent in made:
        began = time.perf_counter()
        try:
            answer = _post(client, sent)
        except httpx2.TransportError as error:
            seen.faults.append(f"seed {seed}: no answer: {error!r}")
            continue
        seen.add(f"seed {seed}", answer, time.perf_counter() - began, endless=is_endless(seed))


def _post(client: httpx2.Client, sent: Sent) -> httpx2.Response:
    return client.post(sent.path, content=sent.body, headers={"Content-Type": sent.media_type})


def _see_that_it_computes(service: Service, seen: Seen) -> None:
    if service.process.poll() is not None:
        seen.faults.append(f"the web process has ended with status {service.process.returncode}")
    elif service.http.post(TEXT, content="1 + 1").text != "2\n":
        seen.faults.append("the service no longer computes 1 + 1")


def large(size: int) -> dict[str, Sent]:
    """Make bodies of nearly this many bytes, by what they are full of."""
    size -= 200  # for what stands around it

    def full_of(value: object) -> list[object]:
        return [value] * (size // (len(json.dumps(value, separators=(",", ":"))) + 1))

    def program_with(value: object) -> Sent:
        return _json(TENSOR, {"program": "a.shape", "variables": {"a": full_of(value)}})

    points: list[object] = full_of([0.1] * 50)[:1000]
    return {
        "numbers": program_with(0.1),
        "whole numbers": program_with(1),
        "lists of one number": program_with([1]),
        "empty lists": program_with([]),
        "nulls": program_with(None),
        "texts": program_with(""),
        "points": _json(MLP, {"layers": [50, 1], "inputs": points, "targets": [1.0] * len(points)}),
        "inputs": _json(NEURON, {"inputs": full_of(0.1), "weights": [1.0]}),
        "layers that are texts": _json(MLP, {"layers": full_of(""), "inputs": [[1]], "targets": [1]}),
        "names": _json(GRADIENT, {"expression": "a", "variables": {"a": 1}, "wrt": full_of("-")}),
        "unknown fields": _json(NEURON, {f"a{number:06}": 1 for number in range(size // 12)}),
        "a program in JSON": _json(TENSOR, {"program": "1+" * (size // 2)}),
        "a program": Sent(TEXT, b"1+" * (size // 2), "text/plain"),
        "empty lines": Sent(TEXT, b"\n" * size, "text/plain"),
        "no UTF-8": Sent(TEXT, b"\n" * size + b"\xff", "text/plain"),
    }


def _json(path: str, body: object) -> Sent:
    return Sent(path, json.dumps(body, separators=(",", ":")).encode())


def send_large(service: Service, sent: Sent, name: str, seen: Seen) -> tuple[httpx2.Response, float, float]:
    """Send a large body while others ask for little; return the answer, and how long it and they took."""
    waits, stop = [0.0], threading.Event()

    def ask() -> None:
        with httpx2.Client(base_url=service.url, timeout=60) as client:
            while not stop.wait(0.005):
                waits.append(_timed(lambda: client.get("/livez"))[1])

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        answer, seconds = _timed(lambda: _post(service.http, sent))
    finally:
        stop.set()
        asking.join()
    seen.add(f"a body of {name}", answer, seconds)
    return answer, seconds, max(waits)


def _timed(ask: Callable[[], httpx2.Response]) -> tuple[httpx2.Response, float]:
    began = time.perf_counter()
    answer = ask()
    return answer, time.perf_counter() - began


def main() -> None:
    """Send as many requests as are asked for, and say what came back; exits with 1 if any of it may not."""
    arguments = argparse.ArgumentParser(description="Send hostile requests to a service of their own.")
    arguments.add_argument("count", type=int)
    arguments.add_argument("--first", type=int, default=0, help="seed of the first request")
    options = arguments.parse_args()
    with ready(CONNECTIONS) as service:
        service.http.timeout = 60
        began = time.perf_counter()
        seen = send(service, range(options.first, options.first + options.count), news=_tell_progress)
        _say_seen(seen, time.perf_counter() - began)
        seen_large = Seen()
        for name, sent in [*large(ACCEPTED).items(), *large(12 * ACCEPTED).items()]:
            answer, seconds, others = send_large(service, sent, name, seen_large)
            size = f"{len(sent.body) / 1e6:.2f} MB of {name}"
            times = f"{seconds:6.2f} s, GET /livez meanwhile up to {1000 * others:,.0f} ms"
            _say(f"{size:<32} {sent.path[len('/v1/compute/') :]:<10} {answer.status_code} after {times}")
        _see_that_it_computes(service, seen_large)
    faults = seen.faults + seen_large.faults
    for fault in faults[:40]:
        _say(f"FAULT {fault}")
    _say(f"{len(faults)} faults" if faults else "no faults; the same web process still computes")
    sys.exit(bool(faults))


def _say_seen(seen: Seen, seconds: float) -> None:
    _say(f"{seen.statuses.total():,} requests over {CONNECTIONS} connections in {seconds:.0f} s")
    for status, count in sorted(seen.statuses.items()):
        _say(f"  {count:>7,} answered {status}")
    if seen.over_budget:
        _say(f"over budget without being meant to: {', '.join(sorted(seen.over_budget)[:20])}")
    _say(f"longest until an answer: {seen.longest:.3f} s ({BUDGET + MARGIN:g} s allowed, {seen.longest_of})")


def _tell_progress(seen: Seen) -> None:
    if seen.statuses.total() % 10_000 == 0:
        sys.stderr.write(f"{seen.statuses.total():,} answered, {len(seen.faults)} faults\n")


def _say(label: str) -> None:
    sys.stdout.write(f"{label}\n")


if __name__ == "__main__":
    main()
