"""Rollouts of several kinds under ≥ 100 requests a second, with streams and requests of 30 seconds: none may fail.

`make soak-rollouts` runs 100 of every kind and writes `docs/results/rollouts.md`; here it is one each of those that
`test_rollouts` does not show.
"""

from __future__ import annotations

import pytest

from tests.e2e.rolling import HEADER, KINDS, roll
from tests.e2e.stage import Stage

pytestmark = pytest.mark.cluster


def test_no_request_fails_whatever_is_rolled_out(stage: Stage) -> None:
    rows = []
    for result in roll(stage, [KINDS[0], KINDS[2], KINDS[3]], times=1):
        rows.append(result.row())
        assert result.failures == [], result.kind
        assert result.requests > 100
        # Two replicas, a pod each, and one for the surge; beside each other twice as many.
        assert result.peak_pods <= (4 if "second Ray cluster" in result.kind else 3), result.kind
    print("\n".join([HEADER, *rows]))
