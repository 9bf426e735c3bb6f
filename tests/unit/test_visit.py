"""What a request's headers say to the proxy."""

from __future__ import annotations

from random import Random

import pytest

from remora.headers import TIMEOUT
from remora.proxy.visit import read
from remora_api.wire import ApplicationRouting

APPLICATION = ApplicationRouting(application="app", request_timeout_s=60)


@pytest.mark.parametrize(
    ("given", "timeout_s"),
    [([], 60), ([b"5"], 5), ([b"0"], None), ([b"soon"], 60), ([b"5", b"7"], 7), ([b"5", b"soon"], 5)],
)
def test_the_last_timeout_that_is_a_number_wins_over_the_applications(
    given: list[bytes], timeout_s: float | None
) -> None:
    scope = {"headers": [(TIMEOUT, value) for value in given]}
    visit = read(scope, ("", APPLICATION), begun=0, rng=Random(1), closing=False)
    assert visit.timeout_s == timeout_s
