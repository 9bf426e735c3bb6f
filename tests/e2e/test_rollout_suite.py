"""Rollouts of every kind at ≥ 100 requests a second, with streams and slow requests beside them: none may fail.

`make soak-rollouts` runs 100 of every kind with requests of 30 seconds. Here all of it has to fit into three minutes of
two cores, so that there are 5 of code, 2 of what also takes seconds, and 1 of those that need new pods or a second Ray
cluster; long requests take 1.5 seconds, since each rollout waits for several. Canaries by hand and blue/green have
tests of their own in `test_rollouts`.
"""

from __future__ import annotations

import pytest

from tests.e2e.rolling import HEADER, KINDS, ground, roll
from tests.e2e.stage import Stage

pytestmark = pytest.mark.cluster

TIMES = {
    "code": 5,
    "options of one deployment": 2,
    "template of one worker group": 1,
    "head: a second Ray cluster": 1,
    "canary by itself": 1,
    "taken back by itself": 2,
    "undo and forward again": 1,
}


def test_no_request_fails_whatever_is_rolled_out(stage: Stage) -> None:
    results = []
    print(f"\n{HEADER}")
    for result in roll(ground(stage), [(it, TIMES[it.name]) for it in KINDS if it.name in TIMES], long_s=1.5):
        results.append(result)
        print(result.row(), flush=True)
    assert [fault for it in results for fault in it.faults()] == []
    assert all(it.requests > 80 * sum(it.seconds) for it in results), "the load was there all the time"
