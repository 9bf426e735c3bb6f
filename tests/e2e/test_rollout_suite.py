"""Rollouts of every kind at ≥ 100 requests a second, with streams and slow requests beside them: none may fail.

`make soak-rollouts` runs 100 of every kind with requests of 30 seconds. Here there are 5, and 2 of changes that come in
mid-rollout; long requests take 1.5 seconds, since each rollout waits for several. Two applications are rolled side by
side, as one waits for pods most of its time: one within its Ray cluster, the other from one Ray cluster to the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.rolling import BESIDE, HEADER, KINDS, Kind, Result, ground, roll
from tests.e2e.stage import Stage

pytestmark = pytest.mark.cluster

TIMES, MEANWHILE = 5, 2


@pytest.mark.timeout(1800)
def test_no_request_fails_whatever_is_rolled_out(stage: Stage, other_stage: Stage) -> None:
    within = [it for it in KINDS if it.most_pods < BESIDE]
    across = [it for it in KINDS if it.most_pods >= BESIDE]
    print(f"\n{HEADER}")
    with ThreadPoolExecutor(2) as both:
        results = [it for ended in both.map(_rolled, (stage, other_stage), (within, across)) for it in ended]
    assert [fault for it in results for fault in it.faults()] == []
    assert all(it.requests > 80 * sum(it.seconds) for it in results), "the load was there all the time"
    assert len(results) == len(KINDS)


def _rolled(stage: Stage, kinds: Sequence[Kind]) -> list[Result]:
    results = []
    times = [(it, MEANWHILE if "meanwhile" in it.name else TIMES) for it in kinds]
    for result in roll(ground(stage), times, long_s=1.5):
        results.append(result)
        print(result.row(), flush=True)
    return results
