"""Events about autoscaling: one for each decision, but not for those that follow too fast."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from remora_api.v1alpha1 import DeploymentStatus, ServeApplicationStatus
from remora_operator.events import changes

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def status(desired: int, at: datetime | None = None, *, autoscaled: bool = True) -> ServeApplicationStatus:
    reason = f"autoscaled to {desired}: much to do"
    one = DeploymentStatus(name="A", desired=desired, reason=reason, autoscaled=autoscaled, last_scale_time=at)
    return ServeApplicationStatus(deployments=(one,))


def test_a_decision_is_said_with_its_reason() -> None:
    (event,) = changes(status(1), status(2, NOW))
    assert (event.reason, event.note, event.action) == (
        "Autoscaled",
        "deployment A: autoscaled to 2: much to do",
        "Scale",
    )
    assert changes(status(2, NOW), status(2, NOW)) == ()
    assert changes(status(1, autoscaled=False), status(2, autoscaled=False)) == ()
    assert changes(ServeApplicationStatus(), status(2, NOW)) == ()


def test_decisions_that_follow_too_fast_stand_in_the_status_only() -> None:
    assert changes(status(2, NOW), status(3, NOW + timedelta(seconds=9))) == ()
    assert len(changes(status(2, NOW), status(3, NOW + timedelta(seconds=10)))) == 1


def test_a_number_that_has_no_effect_is_said_once() -> None:
    ignored = ServeApplicationStatus(replicas_ignored="spec.replicas 3 is not followed")
    (event,) = changes(ServeApplicationStatus(), ignored)
    assert (event.reason, event.note, event.is_warning) == ("ReplicasIgnored", "spec.replicas 3 is not followed", True)
    assert changes(ignored, ignored) == ()
    assert changes(ignored, ServeApplicationStatus()) == ()


def test_a_policy_that_fails_is_a_warning_once() -> None:
    def stays(why: str) -> ServeApplicationStatus:
        one = DeploymentStatus(name="A", desired=2, reason=f"autoscaling stays at 2: {why}", autoscaled=True)
        return ServeApplicationStatus(deployments=(one,))

    (event,) = changes(status(2), stays("policy m:f: KeyError: 'q'"))
    assert (event.reason, event.is_warning) == ("AutoscalingPolicy", True)
    assert event.note == "deployment A: autoscaling stays at 2: policy m:f: KeyError: 'q'"
    assert changes(stays("x"), stays("x")) == ()
    assert len(changes(stays("x"), stays("policy m:f answers again"))) == 1


def test_what_the_code_does_not_have_is_said_once() -> None:
    ignored = ServeApplicationStatus(ignored="no deployment is called 'Modle'; the code has 'Model'")
    (event,) = changes(ServeApplicationStatus(), ignored)
    assert (event.reason, event.note, event.is_warning) == ("SpecIgnored", ignored.ignored, True)
    assert changes(ignored, ignored) == ()
