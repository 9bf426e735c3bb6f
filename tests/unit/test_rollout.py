"""One step of a rollout."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from remora.controller.rollout import Budget, Step, step
from remora.types import ReplicaId


@dataclass(frozen=True)
class Member:
    id: ReplicaId
    is_ready: bool
    is_leaving: bool = False


def members(text: str, prefix: str) -> list[Member]:
    """`R` is a ready one, `s` one that starts."""
    return [Member(ReplicaId(f"{prefix}{i}"), letter == "R") for i, letter in enumerate(text)]


@pytest.mark.parametrize(
    ("count", "current", "stale", "leaving", "surge", "unavailable", "start", "drain"),
    [
        pytest.param(3, "", "", 0, 1, 0, 3, [], id="starts all of a new deployment at once"),
        pytest.param(3, "RRR", "", 0, 1, 0, 0, [], id="is done"),
        pytest.param(3, "", "RRR", 0, 1, 0, 1, [], id="surges by one"),
        pytest.param(3, "s", "RRR", 0, 1, 0, 0, [], id="waits for the new one"),
        pytest.param(3, "R", "RRR", 0, 1, 0, 0, ["s0"], id="drains one old for one new"),
        pytest.param(3, "R", "RR", 1, 1, 0, 0, [], id="a draining one occupies its place"),
        pytest.param(3, "", "RRR", 0, 0, 1, 0, ["s0"], id="without surge takes one away first"),
        pytest.param(3, "", "RR", 0, 0, 1, 1, [], id="without surge starts when one is gone"),
        pytest.param(3, "", "Rss", 0, 1, 0, 1, ["s1", "s2"], id="replicas that serve nobody go at once"),
        pytest.param(1, "RRRR", "", 0, 1, 0, 0, ["c3", "c2", "c1"], id="scales down to one"),
        pytest.param(0, "RR", "R", 0, 1, 0, 0, ["s0", "c1", "c0"], id="scales to zero"),
        pytest.param(4, "R", "", 0, 1, 0, 3, [], id="scales up past the surge"),
        pytest.param(2, "Rss", "", 0, 1, 0, 0, ["c2"], id="takes those that start before those that serve"),
    ],
)
def test_step(
    count: int, current: str, stale: str, leaving: int, surge: int, unavailable: int, start: int, drain: list[str]
) -> None:
    found = step(count, members(current, "c"), members(stale, "s"), leaving, Budget(surge, unavailable))
    assert found == Step(start, tuple(ReplicaId(name) for name in drain))
