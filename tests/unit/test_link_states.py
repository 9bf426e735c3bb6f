"""The life of a link to one replica."""

from __future__ import annotations

from remora.router.link import TRANSITIONS, Event, State


def reachable(start: State) -> set[State]:
    seen, new = {start}, {start}
    while new:
        new = {after for (before, _), after in TRANSITIONS.items() if before in new} - seen
        seen |= new
    return seen


def test_every_state_is_reached_and_every_life_can_end() -> None:
    assert reachable(State.CONNECTING) == set(State)
    for state in State:
        assert State.CLOSED in reachable(state)


def test_nothing_happens_after_the_end() -> None:
    assert not [pair for pair in TRANSITIONS if pair[0] is State.CLOSED]


def test_what_drains_never_takes_requests_again() -> None:
    assert State.READY not in reachable(State.DRAINING)


def test_every_event_means_something() -> None:
    assert {event for _, event in TRANSITIONS} == set(Event)


def test_an_address_may_leave_the_snapshot_at_any_time() -> None:
    for state in set(State) - {State.CLOSED}:
        assert (state, Event.REMOVED) in TRANSITIONS
