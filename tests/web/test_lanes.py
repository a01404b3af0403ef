"""Queue lanes and mailboxes."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from enfold.web.lanes import Lane
from enfold.web.sse import Mailbox


@given(st.integers(1, 3), st.lists(st.sampled_from(["push", "done"]), max_size=30))
def test_never_more_than_the_limit_and_always_in_order(limit: int, steps: list[str]) -> None:
    started: list[int] = []
    lane: Lane[int] = Lane(lambda items: started.extend(items), limit)
    pushed = ended = 0
    for step in steps:
        if step == "push":
            lane.push(str(pushed), pushed)
            pushed += 1
        elif ended < len(started):
            ended += 1
            lane.done()
        assert started == list(range(len(started)))
        assert len(started) == min(pushed, ended + limit)


def test_an_item_that_waits_can_leave() -> None:
    started: list[str] = []
    lane: Lane[str] = Lane(started.extend, 1)
    for name in "abc":
        lane.push(name, name)
    assert lane.remove("b") == "b" and lane.remove("a") is None
    lane.done()
    assert started == ["a", "c"]


def test_items_that_fit_together_start_together() -> None:
    batches: list[list[int]] = []
    lane: Lane[int] = Lane(batches.append, 1, size=lambda item: 3, joins=lambda a, b: a % 2 == b % 2)
    for item in (1, 2, 4, 3, 6, 8):
        lane.push(str(item), item)
    for _ in range(3):
        lane.done()
    assert batches == [[1], [2, 4, 6], [3], [8]]


def test_a_mailbox_keeps_what_was_not_read_and_a_little_more() -> None:
    async def scene() -> None:
        box = Mailbox(keep=2, start=0)
        for _ in range(5):
            box.post(b'{"a":1}')
        assert [frame[:15] for frame in box.take(0)] == [b'data: {"seq":%d,' % n for n in range(1, 6)]
        box.post(b"{}")
        assert box.take(5) == [b'data: {"seq":6}\n\n']
        assert len(box.take(0)) == 2
        assert not await box.wait(0.01)

    asyncio.run(scene())
