"""When an application with scaleToZero sleeps, and what wakes it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from remora_api import wire
from remora_api.meta import Component
from remora_operator.observed import Observed
from remora_operator.sleep import Rest, rest
from tests.fakes.applications import NOW, application, pod

ZERO = {"idleSeconds": 60}
A, B = pod("a", Component.PROXY), pod("b", Component.PROXY)


def said(*activities: wire.Activity) -> dict[str, wire.ProxyActivity]:
    return {
        f"{name}/0": wire.ProxyActivity(
            epoch="e", version=1, applications=(wire.ApplicationActivity(application="hello", activity=it),)
        )
        for name, it in zip("ab", activities, strict=False)
    }


IDLE = said(wire.Activity.IDLE, wire.Activity.IDLE)


def ready(for_s: float, **status: Any) -> dict[str, Any]:
    since = (NOW - timedelta(seconds=for_s)).isoformat()
    condition = {"type": "Ready", "status": "True", "reason": "Serving", "lastTransitionTime": since}
    return {"observedGeneration": 1, "conditions": [{**condition, "observedGeneration": 1}], **status}


def answer(status: dict[str, Any], activity: dict[str, wire.ProxyActivity], *pods: Any, **spec: Any) -> Rest:
    given = {"scaleToZero": ZERO, **spec}
    return rest(application(status=status, **given), Observed(pods=pods or (A, B), activity=activity), NOW)


def test_it_sleeps_once_it_was_ready_and_every_proxy_idle_long_enough() -> None:
    assert answer(ready(60), IDLE).since == NOW
    early = answer(ready(50), IDLE)
    assert (early.asleep, early.look_again) == (False, timedelta(seconds=11))


@pytest.mark.parametrize(
    ("status", "activity", "pods"),
    [
        pytest.param(ready(60), said(wire.Activity.IDLE, wire.Activity.ACTIVE), (A, B), id="one has requests"),
        pytest.param(ready(60), said(wire.Activity.IDLE), (A, B), id="one was not heard"),
        pytest.param(ready(60), {}, (A, B), id="none was heard"),
        pytest.param(
            ready(60), said(wire.Activity.IDLE), (A, replace(B, deleting_since=NOW)), id="one is about to end"
        ),
        pytest.param({}, IDLE, (A, B), id="never ready"),
    ],
)
def test_it_stays_awake_while_it_is_not_sure(status: Any, activity: Any, pods: Any) -> None:
    assert not answer(status, activity, *pods).asleep


def test_without_scale_to_zero_and_suspended_it_does_not_sleep() -> None:
    assert not rest(application(status=ready(60)), Observed(pods=(A, B), activity=IDLE), NOW).asleep
    assert not answer(ready(60), IDLE, suspend=True).asleep


ASLEEP = ready(600, asleepSince=NOW.isoformat())


@pytest.mark.parametrize(
    "activity", [IDLE, {}, said(wire.Activity.ACTIVE, wire.Activity.IDLE)], ids=["idle", "unheard", "a new proxy"]
)
def test_it_sleeps_on_until_somebody_waits(activity: Any) -> None:
    assert answer(ASLEEP, activity).asleep


def test_a_request_that_waits_wakes_it_also_in_a_proxy_that_is_about_to_end() -> None:
    waiting = said(wire.Activity.IDLE, wire.Activity.WAITING)
    assert not answer(ASLEEP, waiting).asleep
    assert not answer(ASLEEP, waiting, A, replace(B, deleting_since=NOW)).asleep


def test_another_spec_wakes_it_to_show_that_it_can_be_served() -> None:
    changed = application(generation=2, status=ASLEEP, scaleToZero=ZERO)
    assert not rest(changed, Observed(pods=(A, B), activity=IDLE), NOW).asleep


def test_the_head_goes_last_and_only_when_it_is_to() -> None:
    zero = {"scaleToZero": {**ZERO, "head": "Zero"}}
    assert not answer(ASLEEP, IDLE).without_head
    assert answer(ASLEEP, IDLE, **zero).without_head
    assert not answer(ASLEEP, IDLE, A, B, pod("w"), **zero).without_head
