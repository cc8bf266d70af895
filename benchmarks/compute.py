"""What /v1/compute takes, and what it costs those who ask for something else meanwhile.

    python -m benchmarks.compute        # two minutes, on Linux

A real service with two compute processes, over HTTP. Each answer is checked before its time counts. Times are
of one machine in one run, the clients on the same cores; latencies are set against those at rest.
"""

import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
from rich.console import Console

from benchmarks.report import Report, milliseconds
from testbed.live import Service, serving, wait_until_warm
from testbed.running import (
    check,
    check_scores,
    median,
    percentile,
    store_class,
    times_of,
    train_class,
)

PROCESSES, BUDGET = 2, 2.0
CLIENTS = 8
_GRADIENT = {"expression": "w**3 + w**2", "variables": {"w": 2.0}}  # 12, with a slope of 3 w**2 + 2 w = 16
_POINTS = [[1, 1], [0, 0], [2, -1], [-1, 0.5], [-0.5, -2]]
_TASK_6 = {"layers": [2, 4, 4, 1], "inputs": _POINTS, "target_expression": "x1 * x2 + 1"}
_ENDLESS = {"inputs": [1.0] * 1000, "weights": [0.0] * 1000, "epochs": 100_000}
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure everything and print one table."""
    report = Report()
    settings = {"LIKELY_COMPUTE_PROCESSES": str(PROCESSES), "LIKELY_COMPUTE_SECONDS": str(BUDGET)}
    with tempfile.TemporaryDirectory() as name:
        store_class(name)
        with serving(Path(name), settings) as service:
            train_class(service)
            wait_until_warm(service, PROCESSES)
            _add_gradient(report, service)
            _add_load(report, service)
            _add_neighbours(report, service)
            _add_over_budget(report, service)
            _add_hang_up(report, service)
    Console().print(report.table)


def _add_gradient(report: Report, service: Service) -> None:
    def compute() -> None:
        answer = service.http.post("/v1/compute/gradient", json=_GRADIENT)
        check(answer.json() == {"value": 12.0, "gradients": {"w": 16.0}})

    times_of(compute, 50)
    times = times_of(compute, 2000)
    label = "POST gradient of w**3 + w**2, one client, 2,000 times"
    report.add_time(f"{label}: median", median(times), at_most=0.010)
    report.add_time(f"{label}: 95 %", percentile(times, 95))


def _add_load(report: Report, service: Service) -> None:
    processes = service.compute_pids()
    with _clients(service) as answered:
        time.sleep(1)
        earlier, began = _used(service, answered), time.perf_counter()
        time.sleep(10)
        later, took = _used(service, answered), time.perf_counter() - began
    check(service.compute_pids() == processes)
    compute, web, clients, machine, answers = (
        (after - before) / took for before, after in zip(earlier, later, strict=True)
    )
    label = f"{CLIENTS} clients at once, each POST mlp of task 6"
    report.add(f"{label}: answers", f"{answers:.1f} a second")
    target = 1.8 - web
    report.add(
        f"{label}: cores busy with computing",
        f"{compute:.2f} of {PROCESSES}",
        f"≥ 1.8 less the web's: {target:.2f}",
        met=compute >= target,
    )
    report.add(f"{label}: cores that the web process took", f"{web:.2f}")
    others = max(0.0, machine - compute - web - clients)
    report.add(f"{label}: cores that others took", f"{others:.2f}, and the clients {clients:.2f}")


def _add_neighbours(report: Report, service: Service) -> None:
    at_rest = _neighbours(service)
    with _clients(service) as answers:
        time.sleep(1)
        before = len(answers)
        computing = _neighbours(service)
        check(len(answers) - before > CLIENTS)
    for what, rest in at_rest.items():
        for name, of in (("median", median), ("95 %", lambda times: percentile(times, 95))):
            ratio = of(computing[what]) / of(rest)
            report.add(
                f"{what}, {name}, while {CLIENTS} compute",
                f"{ratio:.2f} times ({milliseconds(of(computing[what]))} for {milliseconds(of(rest))})",
                "≤ 2 times",
                met=ratio <= 2,  # noqa: PLR2004 - the goal
            )


def _neighbours(service: Service) -> dict[str, list[float]]:
    """Time the requests of someone else, who asks a little every few milliseconds."""
    numbers = iter(range(10_000))

    def scores() -> None:
        check_scores(service)

    def live() -> None:
        check(service.http.get("/livez").is_success)

    def respond() -> None:
        body = {"response": next(numbers) % 2}
        put = service.http.put("/v1/catalogs/class/users/new/responses/m1", json=body)
        check(put.is_success and put.json()["response"] == body["response"])

    times: dict[str, list[float]] = {"GET scores": [], "GET /livez": [], "PUT response and relearn": []}
    for _ in range(400):
        for what, ask in zip(times, (scores, live, respond), strict=True):
            times[what] += times_of(ask, 1)
            time.sleep(0.005)
    return times


def _add_over_budget(report: Report, service: Service) -> None:
    over, complete = [], []
    for _ in range(10):
        wait_until_warm(service, PROCESSES)
        began = time.perf_counter()
        answer = service.http.post("/v1/compute/neuron", json=_ENDLESS)
        answers = time.perf_counter()
        check(answer.json()["type"] == "urn:likely:problem:over-budget")
        over.append(answers - began - BUDGET)
        wait_until_warm(service, PROCESSES)
        complete.append(time.perf_counter() - answers)
        check(service.http.post("/v1/compute/gradient", json=_GRADIENT).is_success)
    label = f"a neuron over the budget of {BUDGET:g} s, 10 times"
    report.add_time(f"{label}: longest until the answer, less the budget", max(over), at_most=0.25)
    report.add(
        f"{label}: from the answer until all processes are warm",
        f"{median(complete):.2f} s, longest {max(complete):.2f} s",
    )


def _add_hang_up(report: Report, service: Service) -> None:
    gone = []
    for _ in range(10):
        wait_until_warm(service, PROCESSES)
        processes = service.compute_pids()
        connection = service.send("/v1/compute/neuron", json.dumps(_ENDLESS).encode())
        time.sleep(0.5)
        check(service.compute_pids() == processes)
        began = time.perf_counter()
        connection.close()
        while processes <= service.compute_pids():
            check(time.perf_counter() - began < BUDGET - 0.6)  # before its time is up anyway
            time.sleep(0.001)
        gone.append(time.perf_counter() - began)
    label = "a caller that hangs up, 10 times: longest until the process is gone"
    report.add_time(label, max(gone))


@contextmanager
def _clients(service: Service) -> Iterator[list[None]]:
    """Let clients train the network of task 6, one training after the other, and count the answers.

    Threads: they wait nearly all of the time.
    """
    answers: list[None] = []
    faults: list[str] = []
    stop = threading.Event()

    def train() -> None:
        with httpx2.Client(base_url=service.url, timeout=60) as client:
            while not stop.is_set():
                answer = client.post("/v1/compute/mlp", json=_TASK_6)
                if not answer.is_success or len(answer.json()["losses"]) != 1000:  # noqa: PLR2004 - its epochs
                    faults.append(answer.text)
                answers.append(None)

    threads = [threading.Thread(target=train) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    check(not faults)


def _used(service: Service, answers: list[None]) -> tuple[float, float, float, float, int]:
    """Return the answers so far, and before them the processor time of all who take it.

    These are the compute processes, the web process, this one, and the machine as a whole.
    """
    web = _seconds_of({service.process.pid})
    user, nice, system, _idle, _waiting, *interrupts = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:8]
    )
    machine = (user + nice + system + sum(interrupts)) / _TICKS
    return _seconds_of(service.compute_pids()), web, time.process_time(), machine, len(answers)


def _seconds_of(processes: set[int]) -> float:
    """Return the processor time that processes have taken so far."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in processes]
    return sum(int(field[11]) + int(field[12]) for field in fields) / _TICKS


if __name__ == "__main__":
    main()
