"""Limits that are counted before a request is begun: slots, the queue of writers, token buckets."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import Busy, Overloaded
from app.web import limits
from app.web.limits import Buckets, Slots, WriterQueue


class Clock:
    """A clock that is set."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_a_place_more_is_refused_until_one_is_left() -> None:
    slots = Slots(2, "things")
    slots.take()
    slots.take()
    with pytest.raises(Overloaded, match="2 things are under way"):
        slots.take()
    slots.release()
    slots.take()


def test_turns_come_in_the_order_of_those_who_wait_and_never_more_at_once() -> None:
    order: list[int] = []
    most = 0

    async def wait(queue: WriterQueue, number: int) -> None:
        nonlocal most
        async with queue.slot():
            order.append(number)
            most = max(most, len(order) - len(left))
            await asyncio.sleep(0.001)
            left.append(number)

    left: list[int] = []

    async def all_wait() -> None:
        queue = WriterQueue(2, 30)
        await asyncio.gather(*(wait(queue, number) for number in range(10)))

    asyncio.run(all_wait())
    assert (order, most) == (list(range(10)), 2)


def test_turns_and_places_say_how_many_are_taken_and_who_waits() -> None:
    slots, queue = Slots(3, "things"), WriterQueue(1, 30)
    slots.take()
    assert (slots.slots, slots.busy, slots.waiting) == (3, 1, 0)

    async def look() -> None:
        async with queue.slot():
            others = [asyncio.create_task(_take(queue)) for _ in range(2)]
            await asyncio.sleep(0)
            assert (queue.slots, queue.busy, queue.waiting) == (1, 1, 2)
            others[0].cancel()
            await asyncio.sleep(0)
            assert (queue.busy, queue.waiting) == (1, 1)
        await others[1]
        assert (queue.busy, queue.waiting) == (0, 0)

    asyncio.run(look())


async def _take(queue: WriterQueue) -> None:
    async with queue.slot():
        pass


def test_a_turn_that_does_not_come_is_not_waited_for_and_a_failure_gives_it_back() -> None:
    async def wait() -> None:
        queue = WriterQueue(1, 0.02)
        with pytest.raises(ZeroDivisionError):
            async with queue.slot():
                raise ZeroDivisionError
        async with queue.slot():
            with pytest.raises(Busy, match=r"busy for 0\.02 seconds"):
                async with queue.slot():
                    raise AssertionError

    asyncio.run(wait())


@settings(deadline=None)
@given(st.floats(0.1, 100), st.floats(0.1, 100), st.lists(st.floats(0, 10), max_size=100))
def test_in_any_while_a_client_gets_what_comes_in_then_and_one_full_bucket(
    rate: float, seconds: float, gaps: list[float]
) -> None:
    clock = Clock()
    buckets = Buckets(rate, seconds, clock)
    granted: list[float] = []
    for gap in gaps:
        clock.seconds += gap
        if not buckets.take(b"a"):
            granted.append(clock.seconds)
    full = max(1.0, rate * seconds)
    for begin, first in enumerate(granted):
        for end in range(begin, len(granted)):
            assert end - begin + 1 <= full + (granted[end] - first) * rate + 1e-6


@settings(deadline=None)
@given(st.floats(0.1, 100), st.floats(0.1, 10))
def test_who_comes_back_when_told_to_is_served(rate: float, seconds: float) -> None:
    clock = Clock()
    buckets = Buckets(rate, seconds, clock)
    while not (wait := buckets.take(b"a")):
        pass
    clock.seconds += wait * (1 + 1e-9) + 1e-9
    assert not buckets.take(b"a")


def test_who_waited_long_gets_no_more_than_one_full_bucket_at_once() -> None:
    clock = Clock()
    buckets = Buckets(1, 3, clock)
    buckets.take(b"a")
    clock.seconds = 1000
    assert [buckets.take(b"a") > 0 for _ in range(4)] == [False, False, False, True]


def test_clients_have_buckets_of_their_own() -> None:
    buckets = Buckets(1, 1, Clock())
    assert not buckets.take(b"a")
    assert buckets.take(b"a") == 1.0
    assert not buckets.take(b"b")


def test_memory_of_clients_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_CLIENTS", 2)
    buckets = Buckets(1, 1, Clock())
    for client in (b"a", b"b", b"a", b"c"):  # b was heard of the longest ago
        buckets.take(client)
    assert buckets.take(b"a")
    assert buckets.take(b"c")
    assert not buckets.take(b"b")
