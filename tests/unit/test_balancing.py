"""Which replica takes a request."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.router.balancing import choose, loads_elsewhere


@dataclass
class Replica:
    own: int
    limit: int = 10
    elsewhere: int = 0

    @property
    def load(self) -> int:
        return self.own + self.elsewhere

    @property
    def has_room(self) -> bool:
        return self.load < self.limit

    def passed_over(self) -> None:
        self.elsewhere = max(0, self.elsewhere - 1)


def test_nobody_to_choose_from() -> None:
    assert choose([], Random(1)) is None
    assert choose([Replica(10)], Random(1)) is None
    assert choose([Replica(10), Replica(10), Replica(10)], Random(1)) is None


def test_of_two_the_less_loaded_is_taken() -> None:
    busy, free = Replica(5), Replica(1)
    assert all(choose([busy, free], Random(seed)) is free for seed in range(50))


@given(st.lists(st.integers(0, 12), min_size=1, max_size=8), st.integers())
def test_one_with_room_is_always_found_and_a_full_one_never_taken(loads: list[int], seed: int) -> None:
    replicas = [Replica(load) for load in loads]
    chosen = choose(replicas, Random(seed))
    if any(replica.has_room for replica in replicas):
        assert chosen is not None
        assert chosen.has_room
    else:
        assert chosen is None


def test_load_spreads_evenly() -> None:
    rng = Random(7)
    replicas = [Replica(0, limit=10**6) for _ in range(10)]
    for _ in range(10_000):
        chosen = choose(replicas, rng)
        assert chosen is not None
        chosen.own += 1
    assert max(replica.load for replica in replicas) - min(replica.load for replica in replicas) < 20


def test_a_replica_that_was_busy_once_is_asked_again() -> None:
    rng = Random(3)
    idle, was_busy = Replica(0, elsewhere=0), Replica(0, elsewhere=5)
    chosen = [choose([idle, was_busy], rng) for _ in range(60)]
    assert all(it is idle for it in chosen[:5])
    assert sum(it is was_busy for it in chosen) > 15


@pytest.mark.parametrize(("reported", "own", "elsewhere"), [(5, 2, 3), (2, 5, 0), (0, 0, 0)])
def test_what_others_sent_is_what_is_reported_beyond_our_own(reported: int, own: int, elsewhere: int) -> None:
    assert loads_elsewhere(reported, own) == elsewhere
