"""Rollouts of every kind at ≥ 100 requests a second, with streams and slow requests beside them: none may fail.

`make soak-rollouts` runs 100 of every kind with requests of 30 seconds. Here there are 5; long requests take 1.5
seconds, since each rollout waits for several.
"""

from __future__ import annotations

import pytest

from tests.e2e.rolling import HEADER, KINDS, ground, roll
from tests.e2e.stage import Stage

pytestmark = pytest.mark.cluster

TIMES = 5


@pytest.mark.timeout(2700)
def test_no_request_fails_whatever_is_rolled_out(stage: Stage) -> None:
    results = []
    print(f"\n{HEADER}")
    for result in roll(ground(stage), [(it, TIMES) for it in KINDS], long_s=1.5):
        results.append(result)
        print(result.row(), flush=True)
    assert [fault for it in results for fault in it.faults()] == []
    assert all(it.requests > 80 * sum(it.seconds) for it in results), "the load was there all the time"
