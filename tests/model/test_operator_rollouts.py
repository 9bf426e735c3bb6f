"""Rollouts of every strategy against a small world, changed in the middle, failing, paused, pinned and taken back.

Whatever the order: the replicas behind the requests never fall below what is wanted, only what the operator made is
deleted, and once the world is quiet nothing is left to do.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from remora.cli.rollout import earlier
from remora_api import wire
from remora_api.meta import Annotation, Component
from remora_api.v1alpha1 import RevisionPhase
from remora_operator.kinds import CONTROLLER_REVISION, REPLICA_SET
from tests.fakes.operator_world import BAD, World, fresh

CANARY = {"strategy": "Canary", "canary": {"steps": [{"weight": 10, "pauseSeconds": 60}, {"weight": 50}]}}
BLUE_GREEN = {"strategy": "BlueGreen"}


def env(value: str) -> list[dict[str, str]]:
    return [{"name": "N", "value": value}]


def step(world: World, times: int = 1) -> None:
    for _ in range(times):
        world.reconcile()
        world.tick()


def until(world: World, reason: str) -> None:
    for _ in range(40):
        if world.reason() == reason:
            return
        step(world)
    raise AssertionError(f"never {reason}: {world.application.status}")


def phases(world: World) -> dict[int, RevisionPhase]:
    return {it.number: it.phase for it in world.application.status.revisions}


def test_a_change_is_a_revision_and_what_changes_in_place_is_none() -> None:
    world = fresh()
    world.settle()
    assert phases(world) == {1: RevisionPhase.CURRENT}
    deployments = [{"name": "A", "userConfig": {"x": 1}, "maxOngoingRequests": 7, "gracefulShutdownTimeoutSeconds": 90}]
    pods = set(world.pods)
    world.change(replicas=2, deployments=deployments, rollout={"maxSurge": 2}, routePrefix="/x")
    world.settle()
    assert phases(world) == {1: RevisionPhase.CURRENT}
    assert pods == set(world.pods)
    world.change(env=env("1"))
    world.settle()
    assert phases(world) == {1: RevisionPhase.FORMER, 2: RevisionPhase.CURRENT}


def test_history_is_bounded_and_keeps_what_serves() -> None:
    world = fresh(revisionHistoryLimit=2)
    for number in range(6):
        world.change(env=env(str(number)))
        world.settle()
    assert sum(ref.kind is CONTROLLER_REVISION for ref in world.children) == 3
    assert phases(world)[max(phases(world))] is RevisionPhase.CURRENT


def test_what_failed_does_not_crowd_out_what_can_be_gone_back_to() -> None:
    world = fresh(revisionHistoryLimit=2)
    world.settle()
    first = world.application.status.current_revision
    world.change(env=env("good"))
    world.settle()
    for number in range(4):
        world.change(importPath=f"{BAD}:app{number}")
        world.settle(stalled=True)
    world.change(importPath="hello:app")
    world.settle()
    assert earlier(world.resource["status"], None) == first
    assert sum(ref.kind is CONTROLLER_REVISION for ref in world.children) == 3


def test_what_comes_back_gets_a_new_number_and_no_second_record() -> None:
    world = fresh(env=env("a"))
    world.settle()
    first = world.application.status.current_revision
    world.change(env=env("b"))
    world.settle()
    world.change(env=env("a"))
    world.settle()
    assert world.application.status.current_revision == first
    assert phases(world) == {3: RevisionPhase.CURRENT, 2: RevisionPhase.FORMER}


def test_code_that_cannot_be_imported_is_taken_back_and_fixing_forward_recovers() -> None:
    world = fresh(replicas=2)
    world.settle()
    good = world.application.status.current_revision
    world.change(importPath=f"{BAD}:app")
    until(world, "RolledBack")
    world.settle(stalled=True)
    status = world.application.status
    assert status.current_revision == good != status.updated_revision
    assert "ImportError: no such module" in world.condition("Ready").message
    assert world.condition("Available").status.value == "True"
    assert world.target(1).import_path == "hello:app"
    world.now += timedelta(hours=1)
    world.settle(stalled=True)
    world.change(importPath="fixed:app")
    world.settle()
    assert world.target(1).import_path == "fixed:app"


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ({"importPath": f"{BAD}:app"}, {"importPath": "hello:app"}),
        ({"image": f"user/{BAD}:1"}, {"image": "user/good:1"}),
        ({"env": env(BAD)}, {"env": env("good")}),
    ],
    ids=["code", "image", "workers"],
)
@pytest.mark.parametrize("auto_rollback", [True, False])
@pytest.mark.parametrize("served_before", [True, False])
def test_an_hour_of_failing_is_mended_by_the_next_change(
    wrong: dict[str, Any], right: dict[str, Any], auto_rollback: bool, served_before: bool
) -> None:
    rollout = {"progressDeadlineSeconds": 30, "autoRollback": auto_rollback}
    world = fresh(replicas=2, rollout=rollout, **({} if served_before else wrong))
    if served_before:
        world.settle()
        world.change(**wrong)
    for minutes in (0,) * 12 + (5,) * 12:
        world.now += timedelta(minutes=minutes)
        step(world)
        assert not served_before or world.capacity() == 2
    assert world.is_stalled()
    assert world.condition("Stalled").status.value == "True"
    world.change(**right)
    world.settle()
    assert world.capacity() == 2
    assert not world.is_stalled()


def test_pods_that_never_start_are_taken_back_at_the_deadline_with_their_own_words() -> None:
    world = fresh(replicas=2, rollout={"progressDeadlineSeconds": 30})
    world.settle()
    sets = {ref for ref in world.children if ref.kind is REPLICA_SET}
    world.change(env=env(BAD))
    step(world, 3)
    assert world.reason() != "RolledBack"
    until(world, "RolledBack")
    assert "ErrImagePull" in world.condition("Ready").message
    world.settle(stalled=True)
    assert {ref for ref in world.children if ref.kind is REPLICA_SET} == sets
    # Somebody mends what was wrong outside, and asks for another try.
    world.annotate("retry")
    step(world, 2)
    assert world.reason() != "RolledBack"
    until(world, "RolledBack")


def test_what_the_api_server_does_not_take_is_taken_back() -> None:
    world = fresh(replicas=2)
    world.settle()
    sets = {ref for ref in world.children if ref.kind is REPLICA_SET}
    world.refuses = "unheard-of"
    world.change(env=env("unheard-of"))
    until(world, "RolledBack")
    assert "is invalid" in world.condition("Ready").message
    world.settle(stalled=True)
    assert {ref for ref in world.children if ref.kind is REPLICA_SET} == sets
    world.change(env=env("good"))
    world.settle()


def test_what_the_api_server_does_not_take_stays_without_auto_rollback() -> None:
    world = fresh(replicas=2, rollout={"autoRollback": False})
    world.settle()
    world.refuses = "unheard-of"
    world.change(env=env("unheard-of"))
    step(world, 5)
    assert world.reason() != "RolledBack"
    assert world.capacity() == 2


def test_an_image_that_cannot_be_pulled_leaves_the_old_ray_cluster_as_it_was() -> None:
    world = fresh(replicas=2, rollout={"progressDeadlineSeconds": 30})
    world.settle()
    world.change(image=f"user/{BAD}:1")
    until(world, "RolledBack")
    world.settle(stalled=True)
    assert world.weights() == [("hello-head-1", 100)]
    world.change(image="user/good:1")
    world.settle()
    assert world.serving() == 3, "no number is used twice"


def test_without_auto_rollback_it_stays_and_says_so() -> None:
    world = fresh(rollout={"autoRollback": False})
    world.settle()
    world.change(importPath=f"{BAD}:app")
    until(world, "BuildFailed")
    step(world, 5)
    assert world.reason() == "BuildFailed"


def test_a_pin_goes_back_and_letting_go_of_it_forward_again() -> None:
    world = fresh(env=env("a"))
    world.settle()
    first = world.application.status.current_revision
    world.change(env=env("b"))
    world.settle()
    second = world.application.status.current_revision
    world.change(revision=first, replicas=4)
    world.settle()
    assert world.application.status.current_revision == first
    assert world.target(1).ingress_replicas == 4
    world.change(revision=None)
    world.settle()
    assert world.application.status.current_revision == second
    world.change(revision="hello-nothing")
    until(world, "RevisionNotFound")
    assert world.capacity() == 4


def test_a_canary_walks_its_steps_and_waits_to_be_promoted() -> None:
    world = fresh(replicas=2, rollout=CANARY)
    world.settle()
    world.change(importPath="new:app")
    until(world, "Promoting")
    assert world.weights() == [("hello-head-1", 90), ("hello-head-2", 10)]
    assert {it.weight for it in world.application.status.revisions} == {90, 10}
    step(world, 14)
    assert world.weights() == [("hello-head-1", 50), ("hello-head-2", 50)]
    world.change(replicas=4)
    step(world, 200)
    assert world.weights() == [("hello-head-1", 50), ("hello-head-2", 50)], "no deadline runs while it waits"
    assert world.capacity() == 4, "both follow what changes in place"
    world.annotate("promote")
    world.settle()
    assert world.weights() == [("hello-head-2", 100)]
    assert {it.incarnation for it in world.pods.values() if it.component is not Component.PROXY} == {2}


def test_an_aborted_canary_gives_everything_back() -> None:
    world = fresh(replicas=2, rollout=CANARY)
    world.settle()
    world.change(importPath="new:app")
    until(world, "Promoting")
    world.annotate("abort")
    until(world, "RolledBack")
    world.settle(stalled=True)
    assert world.weights() == [("hello-head-1", 100)]
    assert {it.incarnation for it in world.pods.values() if it.component is not Component.PROXY} == {1}


ANALYSED = {
    "strategy": "Canary",
    "canary": {"steps": [{"weight": 10}], "analysis": {"maxErrorPercent": 5, "minRequests": 20}},
}


def told(world: World, *, errors: int, of: int) -> tuple[wire.ProxyFigures, ...]:
    """Return what one proxy counted: so many answers of the new revision, errors among them, and as many of the old."""
    status = world.application.status

    def figures(revision: str | None, errors: int) -> wire.RevisionFigures:
        return wire.RevisionFigures(
            application="hello", revision=revision or "", requests=of, errors=errors, buckets=(of, 0)
        )

    revisions = (figures(status.current_revision, 0), figures(status.updated_revision, errors))
    return (wire.ProxyFigures(window_s=60, bounds_s=(1.0,), revisions=revisions),)


def test_a_canary_that_does_worse_is_given_up_with_its_figures() -> None:
    world = fresh(replicas=2, rollout=ANALYSED)
    world.settle()
    good = world.application.status.current_revision
    world.change(importPath="new:app")
    until(world, "Promoting")
    assert world.reconcile().counted is not None, "the proxies are asked"
    world.figures = told(world, errors=19, of=19)
    step(world, 5)
    assert world.reason() == "Promoting", "nothing is concluded from so few"
    world.figures = told(world, errors=1, of=20)
    step(world, 5)
    assert world.reason() == "Promoting", "no more than is allowed"
    world.figures = told(world, errors=2, of=20)
    until(world, "RolledBack")
    assert "10.0 % of its 20 answers" in world.condition("Ready").message
    world.settle(stalled=True)
    assert world.application.status.current_revision == good
    assert world.weights() == [("hello-head-1", 100)]
    assert world.reconcile().counted is None, "and are left alone"

    # It was somebody else's fault: the same again, judged by what it does this time.
    world.figures = ()
    world.annotate("retry")
    until(world, "Promoting")
    world.figures = told(world, errors=0, of=1000)
    step(world, 5)
    world.annotate("promote")
    world.settle()
    assert world.application.status.current_revision != good


def test_without_analysis_figures_give_nothing_up() -> None:
    world = fresh(replicas=2, rollout=CANARY)
    world.settle()
    world.change(importPath="new:app")
    until(world, "Promoting")
    world.figures = told(world, errors=1000, of=1000)
    step(world, 5)
    assert world.reason() == "Promoting"
    assert world.reconcile().counted is None


def test_a_pause_holds_a_rollout_before_it_begins_and_in_the_middle() -> None:
    world = fresh(replicas=2, rollout={**CANARY, "paused": True})
    world.settle()
    world.change(importPath="new:app")
    until(world, "Paused")
    step(world, 5)
    assert world.weights() == [("hello-head-1", 100)]
    world.change(rollout=CANARY)
    until(world, "Promoting")
    world.change(rollout={**CANARY, "paused": True})
    step(world, 30)
    assert world.weights() == [("hello-head-1", 90), ("hello-head-2", 10)]
    world.change(rollout={"strategy": "Rolling"})
    world.settle()


def test_blue_green_is_reached_by_its_header_only_until_promoted() -> None:
    world = fresh(replicas=2, rollout=BLUE_GREEN)
    world.settle()
    world.change(importPath="new:app")
    until(world, "Promoting")
    assert world.weights() == [("hello-head-1", 100), ("hello-head-2", 0)]
    world.annotate("promote")
    world.settle()
    assert world.weights() == [("hello-head-2", 100)]


def test_a_new_template_takes_no_more_pods_than_the_surge() -> None:
    world = fresh(replicas=8)
    world.settle()
    assert workers(world) == 4
    world.change(env=env("1"))
    world.most_workers = 0
    for _ in range(80):
        step(world)
    assert world.is_ready()
    assert (workers(world), world.most_workers) == (4, 5)


def workers(world: World) -> int:
    return sum(it.component is Component.WORKER for it in world.pods.values())


CHANGES = st.one_of(
    st.builds(lambda n: ("replicas", n), st.integers(1, 6)),
    st.builds(lambda n: ("env", n), st.sampled_from(["a", "b", BAD])),
    st.builds(lambda n: ("importPath", n), st.sampled_from(["hello:app", "new:app", f"{BAD}:app"])),
    st.builds(lambda n: ("image", n), st.sampled_from(["user/a:1", "user/b:1", f"user/{BAD}:1"])),
    st.builds(lambda n: ("strategy", n), st.sampled_from(["Rolling", "Canary", "BlueGreen"])),
    st.builds(lambda n: ("paused", n), st.booleans()),
    st.builds(lambda n: ("ask", n), st.sampled_from(["promote", "abort", "retry"])),
    st.builds(lambda n: ("hands off", n), st.sampled_from(["true", "false"])),
    st.builds(lambda n: ("pin", n), st.integers(0, 3)),
    st.just(("kill worker", 0)),
    st.just(("lose head", 0)),
    st.just(("another operator", 0)),
    st.just(("controller away", 0)),
    st.builds(lambda n: ("wait", n), st.integers(1, 12)),
)


def change(world: World, what: str, value: Any, rollout: dict[str, Any]) -> None:
    world.reachable = True
    match what:
        case "replicas" | "importPath" | "image":
            world.change(**{what: value})
        case "env":
            world.change(env=env(value))
        case "strategy":
            rollout["strategy"] = value
            world.change(rollout=dict(rollout))
        case "paused":
            rollout["paused"] = value
            world.change(rollout=dict(rollout))
        case "ask":
            world.annotate(value)
        case "hands off":
            world.resource["metadata"].setdefault("annotations", {})[Annotation.PAUSED] = value
        case "pin":
            revisions = world.application.status.revisions
            world.change(revision=revisions[value].name if value < len(revisions) else None)
        case "kill worker":
            world.kill_worker()
        case "lose head":
            world.lose_head()
        case "another operator":
            world.routed = {}
        case "controller away":
            world.reachable = False
        case _:
            assert what == "wait"


# Paused in the moment in which requests are to move to the new Ray cluster.
@example([("image", "user/a:1"), ("replicas", 1), ("hands off", "true")])
# Pinned, while paused, to a revision that is not kept yet.
@example([("hands off", "true"), ("env", "a"), ("pin", 0), ("ask", "promote")])
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(CHANGES, max_size=10))
def test_whatever_is_changed_it_serves_on_and_comes_to_rest(changes: list[tuple[str, Any]]) -> None:
    world = fresh(replicas=2, rollout={"progressDeadlineSeconds": 30})
    world.settle()
    rollout: dict[str, Any] = {"progressDeadlineSeconds": 30}
    killed = False
    least = 2
    for what, value in changes:
        change(world, what, value, rollout)
        killed = killed or what in ("kill worker", "lose head")
        least = min(least, value) if what == "replicas" else least
        for _ in range(value if what == "wait" else 1):
            step(world)
            # What was killed comes back by itself, and from then on nothing is missing again.
            killed = killed and world.capacity() < least
            assert killed or world.capacity() >= least
    # Everybody makes up their mind: the last spec is good.
    world.reachable = True
    world.resource["metadata"].pop("annotations", None)
    world.change(
        env=env("last"), importPath="last:app", image="user/a:1", revision=None, rollout={"progressDeadlineSeconds": 30}
    )
    world.settle()
    assert len(world.observed().heads()) == 1
    assert len(world.observed().worker_sets()) == 1
    assert world.capacity() == world.application.spec.replicas


def test_a_new_ray_cluster_is_told_how_many_replicas_serve_until_it_has_the_requests() -> None:
    world = fresh(replicas=3)
    world.settle()
    assert world.target(1).at_least == {}
    world.change(head={"resources": {"cpu": "2", "memory": "4Gi"}})
    world.reconcile()
    world.tick()
    world.reconcile()
    assert world.target(2).at_least == {"Ingress": 3}
    assert world.target(1).at_least == {}
    world.settle()
    assert world.serving() == 2
    assert world.target(2).at_least == {}
