"""A router's view of one replica: when it may send there."""

from __future__ import annotations

from remora.router.link import Link
from remora_api.wire import ReplicaAddress


class Owner:
    """A pool that nobody waits in."""

    def link_changed(self) -> None: ...
    def facts_changed(self, link: Link) -> None: ...
    def room_made(self) -> None: ...


def link() -> Link:
    address = ReplicaAddress(replica="app#A#1", host="127.0.0.1", port=1, revision="r", max_ongoing_requests=5)
    return Link(address, "app", "key", Owner())


def test_a_replica_that_refused_is_left_alone_until_it_has_room() -> None:
    refusing = link()
    refusing.reserve()
    refusing.on_refused(5)
    refusing.release()
    assert not refusing.has_room, "the request that was refused made no room"
    refusing.on_load(4)
    assert refusing.has_room


def test_room_that_is_told_right_after_a_refusal_is_not_forgotten() -> None:
    """Both arrive in one read, before whoever waits for the refused request runs again."""
    refusing = link()
    for _ in range(2):
        refusing.reserve()
    refusing.on_refused(5)
    refusing.release()
    refusing.on_load(4)
    assert refusing.has_room
    refusing.release()
    assert refusing.has_room


def test_an_own_answer_makes_room_after_a_refusal() -> None:
    refusing = link()
    for _ in range(2):
        refusing.reserve()
    refusing.on_refused(5)
    refusing.release()
    refusing.release()
    assert refusing.has_room
