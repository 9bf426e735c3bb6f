"""From reports of load to what the planner follows: sums, who is gone, precedence, schedules, and the world."""

from __future__ import annotations

import zoneinfo
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
    return LoadReport.from_plain({"reporter": who, "next_s": 1, "deployments": (load,), **values})


def scaled(before: World) -> tuple[int, str]:
    (deployment,) = [d for d in versions.resolve(before.serving["app"]) if d.name == "A"]
    return deployment.count, deployment.reason


def autoscaled(**values: Any) -> World:
    limits = Autoscaling.from_plain({"max_replicas": 8, **QUICK, **values})
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
    again = events.learn(after, events.TargetSet(after.targets["app"].but(generation=2)), now)
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


def test_time_zones_are_known_where_the_system_has_none() -> None:
    """As in the runtime image."""
    try:
        zoneinfo.reset_tzpath(to=[])
        zoneinfo.ZoneInfo.clear_cache()
        test_a_schedule_holds_in_its_own_time_zone("2026-11-20T07:30", 5)
    finally:
        zoneinfo.reset_tzpath()


def test_a_time_zone_that_is_not_known_is_said_once() -> None:
    office = Schedule(name="o", start="0 8 * * *", end="0 18 * * *", time_zone="Europe/Berlim", min_replicas=5)
    scaling, before = Scaling(), autoscaled(schedules=(office,))
    before = follow(scaling, before, 0)
    said = "autoscaling stays at 1: time zone Europe/Berlim of schedule o is not known: taken as Etc/UTC"
    assert scaled(before) == (1, said)
    assert scaling.decide(before, 1) == ()


def test_reports_are_asked_for_only_where_something_is_autoscaled() -> None:
    limits = Autoscaling(max_replicas=8)
    wanted = target(deployments=(DeploymentOverride(name="A", autoscaling=limits),))
    found = routes(events.learn(world(wanted, graph("A", "B")), events.TargetSet(wanted), 0))
    assert [(it.name, it.report_s) for it in found[0].deployments] == [("A", 1.0), ("B", 0.0)]


def with_policy(**values: Any) -> World:
    return autoscaled(policy=Policy(import_path="m:by_queue", args={"per": 2}), **values)


def follow(scaling: Scaling, before: World, now: float) -> World:
    for event in scaling.decide(before, now):
        before = events.learn(before, event, now)
    return before


def test_a_policy_is_asked_in_a_replica_and_followed_within_the_bounds() -> None:
    scaling = Scaling()
    before = with_replicas(with_policy(), "A", Phase.RUNNING)
    scaling.take(report("p1", queued=3, ongoing=2), before, 0)
    assert scaling.decide(before, 0) == (), "the load alone moves nothing"
    (asked,) = scaling.questions(before, 0)
    assert asked.replica in before.replicas
    assert (asked.question.import_path, asked.question.args) == ("m:by_queue", {"per": 2})
    (situation,) = asked.question.situations
    assert (situation.deployment, situation.current, situation.target) == ("A", 1, 1)
    assert (situation.requests, situation.queued) == (5, 3)
    assert scaling.questions(before, 1) == (), "one question at a time"
    scaling.answered(asked, {"A": Wish(20, b"seen")}, 1)
    (event,) = scaling.decide(before, 1)
    after = events.learn(before, event, 1)
    assert scaled(after) == (
        8,
        "autoscaled from 1 to 8: policy m:by_queue says 20; 20 would be right, maxReplicas is 8",
    )
    (again,) = scaling.questions(after, 2)
    (situation,) = again.question.situations
    assert (situation.state, situation.scaled_up_at) == (b"seen", 1)


def test_a_policy_that_fails_changes_nothing_is_named_once_and_remembers() -> None:
    scaling = Scaling()
    before = with_replicas(with_policy(), "A", Phase.RUNNING)
    (asked,) = scaling.questions(before, 0)
    scaling.answered(asked, {"A": Wish(1, b"seen")}, 0)
    (asked,) = scaling.questions(before, 1)
    scaling.answered(asked, "policy m:by_queue: KeyError: 'queue'", 1)
    before = follow(scaling, before, 1)
    assert scaled(before) == (1, "autoscaling stays at 1: policy m:by_queue: KeyError: 'queue'")
    assert scaling.decide(before, 2) == ()
    (asked,) = scaling.questions(before, 2)
    assert asked.question.situations[0].state == b"seen"
    scaling.answered(asked, "policy m:by_queue: KeyError: 'another one'", 2)
    assert scaling.decide(before, 2) == (), "one that fails otherwise each time is not said each time"
    assert 'policy_failures_total{application="app",deployment="A"} 2' in "\n".join(scaling.metrics())
    for now in (3, 31):
        (asked,) = scaling.questions(before, now)
        scaling.answered(asked, {"A": Wish(1)}, now)
        assert scaling.decide(before, now) == (), "it may fail again at once"
    (asked,) = scaling.questions(before, 32)
    scaling.answered(asked, {"A": Wish(1)}, 32)
    before = follow(scaling, before, 32)
    assert scaled(before) == (1, "autoscaling stays at 1: policy m:by_queue answers again")
    assert scaling.decide(before, 33) == ()


def test_what_a_policy_said_long_ago_holds_no_more() -> None:
    scaling = Scaling()
    before = with_replicas(with_policy(upscale_delay_s=100), "A", Phase.RUNNING)
    (asked,) = scaling.questions(before, 0)
    scaling.answered(asked, {"A": Wish(3)}, 0)
    assert scaling.decide(before, 0) == ()
    assert scaling.questions(before, 1), "asked, and never answered"
    assert [scaling.decide(before, now) for now in (20, 50, 90, 110)] == [()] * 4


def test_at_zero_without_any_replica_a_request_brings_one() -> None:
    scaling, before = Scaling(), with_policy(min_replicas=0)
    assert scaling.questions(before, 0) == ()
    scaling.take(report("p1", queued=1, arrived=1), before, 0)
    (event,) = scaling.decide(before, 0)
    assert scaled(events.learn(before, event, 0))[0] == 1


def of_application(**values: Any) -> World:
    """A is the ingress, with a number of its own; B and C are autoscaled, B by a policy of its own."""
    limits = Autoscaling.from_plain({"min_replicas": 0, "max_replicas": 8, **QUICK})
    own = limits.but(policy=Policy(import_path="m:own"))
    overrides = (DeploymentOverride(name="B", autoscaling=own), DeploymentOverride(name="C", autoscaling=limits))
    wanted = target(deployments=overrides, **values)
    return events.learn(world(wanted, graph("A", "B", "C")), events.TargetSet(wanted), 0)


def counted(before: World) -> dict[str, tuple[int, str]]:
    return {it.name: (it.count, it.reason) for it in versions.resolve(before.serving["app"])}


def test_an_applications_policy_decides_for_all_that_are_autoscaled() -> None:
    scaling = Scaling()
    policy = Policy(import_path="m:together", args={"spare": 1})
    before = with_replicas(of_application(autoscaling_policy=policy), "A", Phase.RUNNING)
    (asked,) = scaling.questions(before, 0)
    assert before.replicas[asked.replica].deployment == "A", "B and C have no replica: the ingress is asked"
    assert asked.question.of_application
    assert (asked.question.import_path, [it.deployment for it in asked.question.situations]) == (
        "m:together",
        ["B", "C"],
    )
    scaling.answered(asked, {"B": Wish(3, b"b"), "C": Wish(None, b"c")}, 0)
    before = follow(scaling, before, 0)
    assert counted(before)["B"] == (3, "autoscaled from 0 to 3: the application's policy m:together says 3")
    assert counted(before)["C"][0] == 0, "it says nothing of C"
    (asked,) = scaling.questions(before, 1)
    assert [it.state for it in asked.question.situations] == [b"b", b"c"]
    scaling.answered(asked, "policy m:together: KeyError: 'B'", 1)
    before = follow(scaling, before, 1)
    assert {name: why for name, (_, why) in counted(before).items() if name != "A"} == {
        "B": "autoscaling stays at 3: policy m:together: KeyError: 'B'",
        "C": "autoscaling stays at 0: policy m:together: KeyError: 'B'",
    }
    # Taken away, B's own is asked again, in A's replica as B has none, and C goes by its load.
    without = events.learn(before, events.TargetSet(of_application().targets["app"]), 2)
    (asked,) = scaling.questions(without, 2)
    assert (asked.who, asked.question.of_application) == (("app", "B"), False)
    assert before.replicas[asked.replica].deployment == "A"


def test_a_policy_is_asked_in_a_replica_of_the_newest_code() -> None:
    scaling = Scaling()
    before = with_replicas(with_policy(), "A", Phase.RUNNING, version="old")
    (asked,) = scaling.questions(before, 0)
    assert asked.replica in before.replicas, "rather than in none"
    before = with_replicas(before, "A", Phase.STARTING, Phase.RUNNING, started_at=5.0)
    (asked,) = Scaling().questions(before, 0)
    assert (before.replicas[asked.replica].version != "old", before.replicas[asked.replica].is_ready) == (True, True)


def test_a_schedule_is_in_the_metrics() -> None:
    always = Schedule(name="always", start="* * * * *", end="0 0 30 2 *", min_replicas=5)
    scaling, before = Scaling(), autoscaled(schedules=(always,))
    scaling.decide(before, 1_750_000_000)
    assert 'remora_autoscaling_min_replicas{application="app",deployment="A"} 5' in "\n".join(scaling.metrics())


def test_what_serves_elsewhere_meanwhile_is_the_least_until_requests_have_moved() -> None:
    scaling, before = Scaling(), autoscaled()
    limited = before.targets["app"].but(at_least={"A": 4})
    meanwhile = events.learn(before, events.TargetSet(limited), 0)
    assert scaled(meanwhile) == (4, "4 serve until requests have moved here")
    (status,) = applications(meanwhile)
    assert status.deployments[0].required == 4, "with fewer it is not ready to take the requests"
    # Hardly a request comes: nothing is lowered yet. More of them still raise the number.
    for now in (0, 10):
        scaling.take(report("p1"), meanwhile, now)
        assert scaling.decide(meanwhile, now) == ()
    scaling.take(report("p1", ongoing=12), meanwhile, 11)
    (event,) = scaling.decide(meanwhile, 11)
    assert scaled(events.learn(meanwhile, event, 11))[0] == 6
    # They have moved: the load alone decides again.
    moved = events.learn(meanwhile, events.TargetSet(before.targets["app"]), 12)
    assert scaled(moved)[0] == 4
    scaling.take(report("p1"), moved, 20)
    (event,) = scaling.decide(moved, 20)
    assert scaled(events.learn(moved, event, 20))[0] == 1


def test_what_serves_elsewhere_is_bounded_by_what_the_new_spec_allows() -> None:
    before = autoscaled(max_replicas=3)
    limited = before.targets["app"].but(at_least={"A": 9})
    assert scaled(events.learn(before, events.TargetSet(limited), 0)) == (3, "9 serve until requests have moved here")


def test_nobody_asks_while_nothing_is_autoscaled() -> None:
    scaling = Scaling()

    def goes_on() -> bool:
        return scaling.goes_on

    assert not goes_on()
    assert not scaling.begins(world(target(), graph("A")))
    there = autoscaled(min_replicas=1)
    assert scaling.begins(there)
    scaling.decide(there, 0)
    assert goes_on()
    assert not scaling.begins(there)
    # It is asked once more than needed, which forgets what there was.
    scaling.decide(World(), 1)
    assert not goes_on()
