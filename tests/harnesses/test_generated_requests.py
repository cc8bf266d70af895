"""Hostile requests of fixed seeds to a real service: each is answered or refused, and in time."""

import pytest

from tests.support.requests.generated_requests import ready, send

SEEDS = range(400, 700)  # one of them takes all of its time


@pytest.mark.faults
def test_hostile_requests_are_answered_or_refused_in_time_and_never_with_a_fault_of_the_service() -> None:
    with ready(connections=2) as service:
        seen = send(service, SEEDS, connections=2, margin=5.0)  # others may be busy on this machine
    assert not seen.faults
    assert seen.statuses["422 over budget"] == 1
    # The requests are worth sending: they are neither all refused nor all right.
    assert seen.statuses["200"] > 15
    assert seen.statuses["422"] > 100
    assert seen.statuses["400"] > 5
