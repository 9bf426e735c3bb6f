"""Conditions: one reason at a time, kstatus' rules, and times that change only with the status."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from remora_api import wire
from remora_api.meta import Reason
from remora_api.v1alpha1 import Condition
from remora_operator import conditions as subject
from remora_operator.facts import Facts
from remora_operator.verdict import Verdict, judge, verdict
from remora_operator.workers import GroupCount
from tests.fakes.applications import NOW, deployment

DEADLINE = timedelta(seconds=600)


def conditions(
    facts: Facts, outcome: Verdict, before: tuple[Condition, ...], deadline: timedelta, now: datetime
) -> tuple[Condition, ...]:
    assert outcome == verdict(facts)
    return subject.conditions(facts, judge(facts, before, deadline, now), before, now)


def said(
    *deployments: wire.DeploymentStatus, state: wire.BuildState = wire.BuildState.BUILT, **changes: Any
) -> wire.ApplicationStatus:
    values: dict[str, Any] = {"application": "hello", "generation": 1, "revision": "r1"} | changes
    message = str(values.pop("message", ""))
    return wire.ApplicationStatus(
        build=wire.BuildStatus(state=state, message=message), deployments=deployments, **values
    )


SERVED = said(deployment("Ingress", 2))
WELL = Facts(
    name="hello",
    generation=1,
    revision="r1",
    head_ready=True,
    controller_reachable=True,
    application=SERVED,
    serving=SERVED,
    workers=(GroupCount("default", 1, 1, 1),),
    proxies_ready=2,
    proxies_desired=2,
)


@pytest.mark.parametrize(
    ("facts", "reason", "is_stalled"),
    [
        pytest.param(WELL, Reason.SERVING, False, id="all is well"),
        pytest.param(replace(WELL, suspended=True), Reason.SUSPENDED, True, id="suspended"),
        pytest.param(replace(WELL, code_problem="no such"), Reason.CODE_NOT_FOUND, True, id="code"),
        pytest.param(
            replace(WELL, application=said(state=wire.BuildState.FAILED)), Reason.BUILD_FAILED, True, id="build failed"
        ),
        pytest.param(
            replace(WELL, application=said(state=wire.BuildState.FAILED, revision="r0", generation=0)),
            Reason.ROLLING_OUT,
            False,
            id="the last build failed, this one is new",
        ),
        pytest.param(
            replace(WELL, application=said(deployment("A", 1, ready=0, failing=True))),
            Reason.REPLICAS_FAILING,
            True,
            id="constructor",
        ),
        pytest.param(
            replace(
                WELL,
                application=said(deployment("A", 1, ready=0, failing=True), state=wire.BuildState.BUILDING),
            ),
            Reason.BUILDING,
            False,
            id="constructor of the revision before",
        ),
        pytest.param(replace(WELL, unplaced=("A",)), Reason.NO_CAPACITY, True, id="too large"),
        pytest.param(
            replace(WELL, unplaced=("A",), unsuited={"A": "disk: ssd"}), Reason.NO_CAPACITY, True, id="no such labels"
        ),
        pytest.param(replace(WELL, head_ready=False), Reason.WAITING_FOR_HEAD, False, id="no head"),
        pytest.param(
            replace(WELL, head_ready=False, head_trouble="pod x: ErrImagePull"), Reason.POD_FAILED, False, id="head pod"
        ),
        pytest.param(replace(WELL, controller_reachable=False), Reason.WAITING_FOR_HEAD, False, id="no controller"),
        pytest.param(replace(WELL, workers=()), Reason.WAITING_FOR_WORKERS, False, id="no worker"),
        pytest.param(
            replace(WELL, application=said(state=wire.BuildState.BUILDING)), Reason.BUILDING, False, id="building"
        ),
        pytest.param(
            replace(WELL, application=said(deployment("A", 2, ready=1))), Reason.WAITING_FOR_REPLICAS, False, id="few"
        ),
        pytest.param(
            replace(WELL, application=said(deployment("A", 2, updated=1))), Reason.ROLLING_OUT, False, id="rollout"
        ),
        pytest.param(replace(WELL, proxies_ready=1), Reason.WAITING_FOR_PROXY, False, id="proxies"),
        pytest.param(replace(WELL, is_moving=True), Reason.ROLLING_OUT, False, id="moving"),
    ],
)
def test_the_first_thing_that_is_wrong_is_the_reason(facts: Facts, reason: Reason, is_stalled: bool) -> None:
    outcome = verdict(facts)
    assert (outcome.reason, outcome.is_stalled) == (reason, is_stalled)
    kinds = {it.type for it in conditions(facts, outcome, (), DEADLINE, NOW)}
    assert {"Ready", "Available", "HeadReady", "ProxyReady"} <= kinds
    assert kinds & {"Reconciling", "Stalled"} == (
        set() if outcome.is_ready else {"Stalled" if is_stalled else "Reconciling"}
    )


def test_a_failure_names_the_deployment_and_the_last_line() -> None:
    status = said(deployment("Model", 1, ready=0, failing=True, message="hello.Model: ValueError: no weights"))
    message = verdict(replace(WELL, application=status)).message
    assert "Model" in message
    assert "ValueError: no weights" in message


def test_a_head_that_is_away_does_not_make_a_served_application_unready() -> None:
    away = replace(WELL, head_ready=False, controller_reachable=False, was_ready=True)
    assert verdict(away).is_ready
    known = {it.type: it.status.value for it in conditions(away, verdict(away), (), DEADLINE, NOW)}
    assert known["HeadReady"] == "False"
    assert known["Available"] == "True"


def test_an_operator_that_has_just_started_believes_what_it_said_last() -> None:
    assert verdict(replace(WELL, application=None, serving=None, controller_reachable=False, was_ready=True)).is_ready


def by_type(found: tuple[Condition, ...]) -> dict[str, Condition]:
    return {it.type: it for it in found}


def told(facts: Facts, before: tuple[Condition, ...], seconds: float) -> tuple[Condition, ...]:
    return conditions(facts, verdict(facts), before, DEADLINE, NOW + timedelta(seconds=seconds))


def test_times_change_only_when_the_status_does() -> None:
    first = told(WELL, (), 0)
    second = told(replace(WELL, generation=2), first, 100)
    assert by_type(second)["Available"].last_transition_time == NOW
    assert by_type(second)["Available"].observed_generation == 2
    third = told(replace(WELL, proxies_ready=0), second, 200)
    assert by_type(third)["Available"].last_transition_time == NOW + timedelta(seconds=200)


def test_no_progress_until_the_deadline_is_stalled_and_stays_so() -> None:
    waiting = replace(WELL, head_ready=False, last_progress=NOW)
    found = told(waiting, (), 0)
    found = told(waiting, found, 599)
    assert "Reconciling" in by_type(found)
    found = told(waiting, found, 601)
    assert by_type(found)["Stalled"].reason == "ProgressDeadlineExceeded"
    assert by_type(told(waiting, found, 602))["Stalled"].last_transition_time == NOW + timedelta(seconds=601)


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ({"head_trouble": "pod a: ErrImagePull"}, "pod a: ErrImagePull"),
        ({"head_missing": "StatefulSet a: FailedCreate"}, "; StatefulSet a: FailedCreate"),
        ({"worker_trouble": "pod b: Unschedulable"}, "the head pod is not ready; pod b: Unschedulable"),
        ({"proxy_trouble": "pod c: FailedMount"}, "the head pod is not ready; pod c: FailedMount"),
        ({}, "`kubectl logs` with -l remora.dev/application=hello"),
    ],
)
def test_what_is_stuck_names_what_is_in_trouble_be_it_waited_for_or_not(trouble: dict[str, Any], words: str) -> None:
    waiting = replace(WELL, head_ready=False, last_progress=NOW, **trouble)
    message = by_type(told(waiting, told(waiting, (), 0), 601))["Stalled"].message
    assert message.startswith("no progress for 600 s: ")
    assert words in message
    assert all(message.count(it) == 1 for it in trouble.values()), "said once"


def test_a_new_generation_or_a_pod_that_became_ready_begins_the_deadline_anew() -> None:
    waiting = replace(WELL, head_ready=False)
    found = told(waiting, (), 0)
    fixed = told(replace(waiting, generation=2), found, 700)
    assert "Reconciling" in by_type(fixed)
    assert "Reconciling" in by_type(told(replace(waiting, generation=2), fixed, 1200))
    moved = replace(waiting, last_progress=NOW + timedelta(seconds=500))
    assert "Reconciling" in by_type(told(moved, found, 700))


def test_autoscaling_is_no_reason_not_to_be_ready() -> None:
    more = deployment("Ingress", 8, ready=2).but(needed=2, autoscaled=True)
    assert verdict(replace(WELL, application=said(more))).is_ready
    fewer = deployment("Ingress", 2, ready=2).but(total=5, autoscaled=True, needed=1)
    assert verdict(replace(WELL, application=said(fewer))).is_ready
    missing = deployment("Ingress", 8, ready=1).but(needed=2, autoscaled=True)
    assert verdict(replace(WELL, application=said(missing))).reason is Reason.WAITING_FOR_REPLICAS
