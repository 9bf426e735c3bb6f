"""From reports of load to what the planner follows: sums, who is gone, precedence, schedules, and the world."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from remora.controller import events, versions
from remora.controller.lifecycle import Phase
from remora.controller.loads import Loads
from remora.controller.routes import routes
from remora.controller.scaling import Scaling
from remora.controller.state import World
from remora.controller.status import applications
from remora.replica.policy import Wish
from remora_api.autoscaling import Autoscaling, Policy, Schedule
from remora_api.wire import DeploymentLoad, DeploymentOverride, LoadReport
from tests.unit.worlds import graph, target, with_replicas, world

A = ("app", "A")
QUICK = {"upscale_delay_s": 0, "downscale_delay_s": 0, "look_back_period_s": 1, "panic_threshold_percent": 0}


def report(who: str, queued: int = 0, ongoing: int = 0, arrived: int = 0, **values: Any) -> LoadReport:
    load = DeploymentLoad(application="app", deployment="A", queued=queued, ongoing=ongoing, arrived=arrived)
    return LoadReport.model_validate({"reporter": who, "next_s": 1, "deployments": (load,), **values})


def scaled(before: World) -> tuple[int, str]:
    (deployment,) = [d for d in versions.resolve(before.serving["app"]) if d.name == "A"]
    return deployment.count, deployment.reason


def autoscaled(**values: Any) -> World:
    limits = Autoscaling.model_validate({"max_replicas": 8, **QUICK, **values})
    wanted = target(deployments=(DeploymentOverride(name="A", autoscaling=limits),), ingress_replicas=1)
    return events.learn(world(wanted, graph("A")), events.TargetSet(wanted), 0)


def test_routers_are_summed_and_replicas_hold_against_them() -> None:
    loads = Loads()
    loads.take(report("p1", queued=3, ongoing=2, arrived=5), 0)
    loads.take(report("p2", queued=1, ongoing=1, arrived=2), 0)
    first = loads.sample(A, 0)
    assert first is not None
    assert (first.queued, first.ongoing, first.arrived, first.load) == (4, 3, 7, 7)
    loads.take(LoadReport(reporter="r1", next_s=1, replica="app#A#01", replica_ongoing=9), 0)
    loads.take(report("p2", queued=1, ongoing=1, arrived=2), 0)
    second = loads.sample(A, 0)
    assert second is not None
    assert (second.ongoing, second.arrived) == (9, 0)


def test_who_reports_no_more_is_forgotten_and_none_is_not_zero() -> None:
    loads = Loads()
    loads.take(report("p1", ongoing=2), 0)
    assert loads.sample(A, 2.9) is not None
    assert loads.sample(A, 3.1) is None


def test_a_reporter_that_takes_its_time_is_waited_for() -> None:
    loads = Loads()
    loads.take(report("p1", next_s=5), 0)
    assert loads.sample(A, 14) is not None


def test_load_moves_the_number_and_says_so_in_status() -> None:
    scaling, now = Scaling(), 0.0
    before = autoscaled()
    assert scaled(before) == (1, "autoscaling begins with minReplicas, 1")
    scaling.take(report("p1", queued=6, ongoing=2), before, now)
    (event,) = scaling.decide(before, now)
    after = events.learn(before, event, now)
    assert scaled(after)[0] == 4
    (status,) = applications(after)
    (deployment,) = status.deployments
    assert (deployment.desired, deployment.required, deployment.autoscaled) == (4, 1, True)
    assert deployment.reason.startswith("autoscaled from 1 to 4: 8.0 requests at a time")
    text = "\n".join(scaling.metrics())
    assert 'remora_autoscaling_desired_replicas{application="app",deployment="A"} 4' in text
    assert 'remora_autoscaling_decisions_total{application="app",deployment="A",direction="up"} 1' in text
    # A target that changes something else leaves the number.
    again = events.learn(after, events.TargetSet(after.targets["app"].model_copy(update={"generation": 2})), now)
    assert scaled(again)[0] == 4


def test_a_request_at_zero_is_to_be_looked_at_without_delay() -> None:
    scaling, before = Scaling(), autoscaled(min_replicas=0)
    assert scaled(before)[0] == 0
    assert not scaling.take(report("p1"), before, 0)
    assert scaling.take(report("p1", queued=1, arrived=1), before, 0)
    (event,) = scaling.decide(before, 0)
    assert scaled(events.learn(before, event, 0))[0] == 1


def test_it_begins_with_the_replicas_that_there_were_and_is_forgotten_when_turned_off() -> None:
    fixed = target(deployments=(DeploymentOverride(name="A", replicas=3),))
    before = with_replicas(world(fixed, graph("A")), "A", *[Phase.RUNNING] * 3)
    limits = Autoscaling(max_replicas=8)
    on = events.learn(
        before, events.TargetSet(target(deployments=(DeploymentOverride(name="A", autoscaling=limits),))), 0
    )
    assert scaled(on) == (3, "autoscaling begins with the 3 that there were")
    narrow = Autoscaling(max_replicas=2)
    less = events.learn(
        on, events.TargetSet(target(deployments=(DeploymentOverride(name="A", autoscaling=narrow),))), 0
    )
    assert scaled(less) == (2, "maxReplicas is 2")
    off = events.learn(less, events.TargetSet(fixed), 0)
    assert scaled(off) == (3, "replicas of deployment A in the resource")
    assert off.serving["app"].scaled == {}


def test_another_ray_cluster_goes_on_with_what_was_decided_before() -> None:
    limits = Autoscaling(max_replicas=4)
    override = DeploymentOverride(name="A", autoscaling=limits)
    for elsewhere, expected in ((3, 3), (9, 4)):
        wanted = target(deployments=(override,), scaled={"A": elsewhere})
        fresh = events.learn(world(wanted, graph("A")), events.TargetSet(wanted), 0)
        assert scaled(fresh)[0] == expected
    assert scaled(events.learn(fresh, events.TargetSet(target(deployments=(override,), scaled={"A": 1})), 0))[0] == 4


def test_who_says_how_many() -> None:
    limits = Autoscaling(min_replicas=2, max_replicas=8)
    code, plain = graph("A", autoscaling=limits), graph("A", replicas=6)
    for built, wanted, count in (
        (code, target(ingress_replicas=5), 2),
        (code, target(deployments=(DeploymentOverride(name="A", replicas=7),), ingress_replicas=5), 7),
        (plain, target(ingress_replicas=5), 5),
        (plain, target(), 6),
        (plain, target(deployments=(DeploymentOverride(name="A", autoscaling=limits),), ingress_replicas=5), 2),
    ):
        assert scaled(events.learn(world(wanted, built), events.TargetSet(wanted), 0))[0] == count


@pytest.mark.parametrize(("moment", "count"), [("2026-11-20T07:30", 5), ("2026-11-20T17:30", 1)])
def test_a_schedule_holds_in_its_own_time_zone(moment: str, count: int) -> None:
    office = Schedule(name="o", start="0 8 * * *", end="0 18 * * *", time_zone="Europe/Berlin", min_replicas=5)
    scaling, before = Scaling(), autoscaled(schedules=(office,))
    now = datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()
    for event in scaling.decide(before, now):
        before = events.learn(before, event, now)
    assert scaled(before)[0] == count


def test_reports_are_asked_for_only_where_something_is_autoscaled() -> None:
    limits = Autoscaling(max_replicas=8)
    wanted = target(deployments=(DeploymentOverride(name="A", autoscaling=limits),))
    found = routes(events.learn(world(wanted, graph("A", "B")), events.TargetSet(wanted), 0))
    assert [(it.name, it.report_s) for it in found[0].deployments] == [("A", 1.0), ("B", 0.0)]


def with_policy(**values: Any) -> World:
    return autoscaled(policy=Policy(import_path="m:by_queue", args={"per": 2}), **values)


def test_a_policy_is_asked_in_a_replica_and_followed_within_the_bounds() -> None:
    scaling = Scaling()
    before = with_replicas(with_policy(), "A", Phase.RUNNING)
    scaling.take(report("p1", queued=3, ongoing=2), before, 0)
    assert scaling.decide(before, 0) == (), "the load alone moves nothing"
    (asked,) = scaling.policies(before, 0)
    assert asked.replica in before.replicas
    assert (asked.policy.import_path, asked.policy.args) == ("m:by_queue", {"per": 2})
    context = asked.context
    assert (context.deployment_name, context.current_num_replicas, context.target_num_replicas) == ("A", 1, 1)
    assert (context.total_num_requests, context.total_queued_requests) == (5, 3)
    assert scaling.policies(before, 1) == (), "one question at a time"
    scaling.answered(asked, Wish(20, {"seen": 1}))
    (event,) = scaling.decide(before, 1)
    after = events.learn(before, event, 1)
    assert scaled(after) == (
        8,
        "autoscaled from 1 to 8: policy m:by_queue says 20; 20 would be right, maxReplicas is 8",
    )
    (again,) = scaling.policies(after, 2)
    assert again.context.policy_state == {"seen": 1}
    assert again.context.last_scale_up_time == 1


def test_a_policy_that_fails_changes_nothing_and_is_named_once() -> None:
    scaling = Scaling()
    before = with_replicas(with_policy(), "A", Phase.RUNNING)
    (asked,) = scaling.policies(before, 0)
    scaling.answered(asked, "policy m:by_queue: KeyError: 'queue'")
    (event,) = scaling.decide(before, 0)
    after = events.learn(before, event, 0)
    assert scaled(after) == (1, "autoscaling stays at 1: policy m:by_queue: KeyError: 'queue'")
    assert scaling.decide(after, 1) == ()


def test_at_zero_there_is_nobody_to_run_a_policy_and_a_request_brings_a_replica() -> None:
    scaling, before = Scaling(), with_policy(min_replicas=0)
    assert scaling.policies(before, 0) == ()
    scaling.take(report("p1", queued=1, arrived=1), before, 0)
    (event,) = scaling.decide(before, 0)
    assert scaled(events.learn(before, event, 0))[0] == 1
