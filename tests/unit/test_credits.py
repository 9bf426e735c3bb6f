"""Windows: what may be on its way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.errors import ProtocolError
from remora.transport.credits import WINDOW_BYTES, ReceiveWindow, SendWindow
from remora.transport.frames import MAX_PART_BYTES, MAX_PAYLOAD_BYTES


@given(st.lists(st.tuples(st.integers(0, MAX_PART_BYTES), st.booleans()), max_size=200))
def test_two_ends_that_keep_the_rules_never_stall_for_good_nor_break_them(steps: list[tuple[int, bool]]) -> None:
    sender, receiver, on_the_way, largest = SendWindow(WINDOW_BYTES), ReceiveWindow(), [], 0
    for size, reads in steps:
        if sender.available > 0:
            sender.take(size)
            receiver.receive(size)
            on_the_way.append(size)
        if reads and on_the_way:
            sender.grant(receiver.consume(on_the_way.pop(0)))
        largest = max(largest, sum(on_the_way))
    assert largest <= WINDOW_BYTES + MAX_PAYLOAD_BYTES
    for size in on_the_way:
        sender.grant(receiver.consume(size))
    assert sender.available > 0


def test_a_sender_that_ignores_its_window_is_noticed() -> None:
    window = ReceiveWindow()
    allowed = (WINDOW_BYTES + MAX_PAYLOAD_BYTES) // MAX_PART_BYTES
    for _ in range(allowed):
        window.receive(MAX_PART_BYTES)
    with pytest.raises(ProtocolError, match="more than its window"):
        window.receive(MAX_PART_BYTES)


def test_a_grant_beyond_the_window_is_noticed() -> None:
    with pytest.raises(ProtocolError, match="more credit"):
        SendWindow(WINDOW_BYTES).grant(1)


def test_small_reads_are_granted_together() -> None:
    window = ReceiveWindow()
    grants = []
    for _ in range(1000):
        window.receive(1000)
        grants.append(window.consume(1000))
    assert sum(1 for grant in grants if grant) < 20
    assert 1_000_000 - sum(grants) < WINDOW_BYTES
