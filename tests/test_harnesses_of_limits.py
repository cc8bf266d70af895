"""A part of the harnesses that send hostile requests, hang up and overload; docs/track-record.md has all."""

from benchmarks.torture import disconnects, hostile, overload
from benchmarks.torture.hostile_requests import REQUESTS

ENOUGH = 150


def test_hostile_requests_are_never_a_fault_of_the_service() -> None:
    faults, *_ = hostile.run(0.02)  # how long they take, and memory, need quiet and many
    assert faults.held, faults.found
    assert len(REQUESTS) >= ENOUGH


def test_clients_that_hang_up_leave_nothing_behind() -> None:
    for figure in disconnects.run(0.012):
        assert figure.held, figure


def test_overload_is_refused_with_a_time_to_come_back_and_the_rest_is_served() -> None:
    figures = overload.run(0.01)  # times and shares are for a machine at rest
    refusals, served = figures[1::4], figures[2::4]
    assert [("0 without Retry-After" in each.found) for each in refusals] == [True, True]
    assert all(each.held for each in served), served
