"""Compute processes of a real service: callers that hang up, services that end."""

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testbed.live import Service, command_of, serving

LONG = b'{"inputs": [1], "weights": [0], "epochs": 100000}'
NETWORK = b'{"layers": [1, 50, 1], "inputs": [[1]], "targets": [1], "epochs": 100000, "stream": true}'
STOPPING = {
    "LIKELY_COMPUTE_PROCESSES": "1",
    "LIKELY_COMPUTE_SECONDS": "60",
    "LIKELY_SHUTDOWN_SECONDS": "1",
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with one compute process, which may take its time."""
    settings = {"LIKELY_COMPUTE_PROCESSES": "1", "LIKELY_COMPUTE_SECONDS": "60"}
    with serving(tmp_path_factory.mktemp("compute"), settings, "--no-worker") as running:
        yield running


def computes(service: Service, processes: int = 1) -> set[int]:
    """See that the service computes, and return the processes that do."""
    assert service.http.post("/v1/compute/tensor.txt", content="1 + 1").text == "2\n"
    wait_until(lambda: len(service.compute_pids()) == processes, 20.0)
    return service.compute_pids()


def wait_until(true: Callable[[], bool], seconds: float) -> float:
    """Wait until something is so, and return the seconds that it took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds
        time.sleep(0.005)
    return time.monotonic() - began


def runs(process: int) -> bool:
    return bool(command_of(process))


@pytest.mark.parametrize(
    ("path", "body"), [("/v1/compute/neuron", LONG), ("/v1/compute/mlp", NETWORK)], ids=["plain", "stream"]
)
def test_a_computation_ends_when_its_caller_disconnects(service: Service, path: str, body: bytes) -> None:
    (process,) = computes(service)
    connection = service.send(path, body)
    if b"stream" in body:
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    time.sleep(0.3)
    assert service.compute_pids() == {process}
    connection.close()
    wait_until(lambda: not runs(process), 2.0)
    assert computes(service) != {process}


def test_a_caller_that_disconnects_while_it_waits_leaves_the_others_alone(service: Service) -> None:
    (process,) = computes(service)
    busy, waiting = service.send("/v1/compute/neuron", LONG), service.send("/v1/compute/neuron", LONG)
    time.sleep(0.3)
    waiting.close()
    time.sleep(0.3)
    assert service.compute_pids() == {process}
    busy.close()
    wait_until(lambda: not runs(process), 2.0)


def test_a_killed_service_leaves_no_process(tmp_path: Path) -> None:
    with serving(tmp_path, {**STOPPING, "LIKELY_COMPUTE_PROCESSES": "2"}, "--no-worker") as service:
        processes = computes(service, 2)
        connection = service.send("/v1/compute/neuron", LONG)  # one computes, one waits
        time.sleep(0.3)
        os.kill(service.process.pid, signal.SIGKILL)
        wait_until(lambda: not any(runs(process) for process in processes), 5.0)
        connection.close()


def test_a_service_that_stops_tells_who_computes_and_who_waits_and_leaves_no_process(tmp_path: Path) -> None:
    with serving(tmp_path, STOPPING, "--no-worker") as service:
        (process,) = computes(service)
        stream = service.send("/v1/compute/mlp", NETWORK)
        stream.settimeout(10)
        assert stream.recv(1000).startswith(b"HTTP/1.1 200")
        waiting = [service.send("/v1/compute/neuron", LONG) for _ in range(10)]
        time.sleep(0.5)
        os.kill(service.process.pid, signal.SIGTERM)
        last = received(stream).rpartition(b"event: ")[2]
        assert last.startswith(b"failed\n")
        assert b"the service is about to stop" in last
        for connection in waiting:
            connection.settimeout(10)
            head, _, body = received(connection).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503 ")
            assert json.loads(body)["detail"].startswith("the service is about to stop")
        wait_until(lambda: not runs(process), 5.0)


def received(connection: socket.socket) -> bytes:
    """Return everything that comes until the other side closes the connection."""
    with connection:
        return b"".join(iter(lambda: connection.recv(65536), b""))
