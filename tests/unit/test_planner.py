"""What the planner asks for, case by case; its promises in general are in tests/model."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from remora.controller import events, versions
from remora.controller.actions import BuildGraph, Drain, Kill, Start
from remora.controller.lifecycle import Phase
from remora.controller.planner import FAILING_AFTER, start_delay_s
from remora.controller.routes import routes
from remora.controller.state import Crashes, World
from remora.controller.status import applications, nodes
from remora.types import ReplicaId
from remora_api.autoscaling import Autoscaling, Policy
from remora_api.wire import BuildState, DeploymentOverride
from tests.unit.worlds import actions, after, graph, kinds, node, target, with_replicas, world


def test_builds_once_there_is_a_node_of_the_group() -> None:
    waiting = after(World(), events.TargetSet(target()))
    assert actions(waiting) == ()
    (status,) = applications(waiting)
    assert status.build.state is BuildState.WAITING
    assert status.build.message == "waiting for a worker of group 'cpu' to import the code"
    n = node("n1")
    (build,) = actions(after(waiting, events.NodesSeen({n.id: n})))
    assert isinstance(build, BuildGraph)


def test_a_failed_build_keeps_the_old_revision_serving_and_heals_it() -> None:
    before = with_replicas(world(target(), graph("A")), "A", Phase.RUNNING)
    new = target(revision="r2", generation=2, import_path="wrong:app")
    failed = after(before, events.TargetSet(new), events.BuildFailed(versions.build_key(new), "no module 'wrong'"))
    assert kinds(failed) == []
    (status,) = applications(failed)
    assert (status.generation, status.build.state, status.build.message) == (2, BuildState.FAILED, "no module 'wrong'")
    assert [d.ready for d in status.deployments] == [1]
    (replica,) = failed.replicas
    assert kinds(after(failed, events.ReplicaDied(replica), now=5000), now=5000)[-1] == "Start"


def test_a_failed_build_is_tried_again_and_stays_failed_meanwhile() -> None:
    new = target()
    n = node("n1")
    failed = after(
        World(), events.TargetSet(new), events.NodesSeen({n.id: n}), events.BuildFailed(versions.build_key(new), "x")
    )
    assert kinds(failed, now=101) == []
    (again,) = actions(failed, now=1000)
    assert applications(events.enact(failed, again, 1000))[0].build.state is BuildState.FAILED


def test_a_replica_that_was_up_for_long_is_replaced_at_once() -> None:
    before = with_replicas(world(target(), graph("A")), "A", Phase.RUNNING)
    (replica,) = before.replicas
    dead = after(before, events.ReplicaDied(replica, "killed"), now=1000)
    assert kinds(dead, now=1000) == ["Start"]
    assert dead.crashes == {}


def test_starts_that_fail_are_tried_ever_more_slowly_and_reported() -> None:
    now = 100.0
    current = world(target(), graph("A"))
    for attempt in range(1, FAILING_AFTER + 1):
        (start,) = actions(current, now)
        assert isinstance(start, Start)
        current = events.enact(current, start, now)
        current = after(current, events.ReplicaFailed(start.replica, "deployment 'A': boom"), now=now)
        assert kinds(current, now) == ["Kill"]
        current = after(current, events.ReplicaDied(start.replica), now=now)
        assert kinds(current, now) == []
        (crashes,) = current.crashes.values()
        assert crashes.count == attempt
        now += start_delay_s(crashes)
    (status,) = applications(current)
    assert (status.deployments[0].failing, status.deployments[0].message) == (True, "deployment 'A': boom")


def test_a_start_that_hangs_is_said_while_it_does_and_is_not_waited_for_again() -> None:
    current = with_replicas(world(target(), graph("A")), "A", Phase.STARTING)
    (replica,) = current.replicas
    slow = after(current, events.ReplicaSlow(replica, "whose constructor has not returned for 30 s"))
    (status,) = applications(slow)
    said = "deployment 'A': 1 starting, whose constructor has not returned for 30 s"
    assert (status.deployments[0].failing, status.deployments[0].message) == (False, said)

    hung = after(slow, events.ReplicaFailed(replica, "its constructor did not return within 600 s", hung=True))
    (status,) = applications(hung)
    said = "deployment 'A': its constructor did not return within 600 s"
    assert (status.deployments[0].failing, status.deployments[0].message) == (True, said)


def test_news_of_a_slow_start_that_is_over_changes_nothing() -> None:
    current = with_replicas(world(target(), graph("A")), "A", Phase.RUNNING)
    (replica,) = current.replicas
    assert after(current, events.ReplicaSlow(replica, "late")) == current
    assert after(current, events.ReplicaSlow(ReplicaId("gone"), "late")) == current


def test_replicas_that_fail_together_count_once() -> None:
    current = with_replicas(world(target(ingress_replicas=3), graph("A")), "A", *[Phase.STARTING] * 3, started_at=1.0)
    for replica in list(current.replicas):
        current = after(current, events.ReplicaFailed(replica, "boom"))
    assert [crashes.count for crashes in current.crashes.values()] == [1]


def test_delays_double_up_to_a_limit() -> None:
    assert [start_delay_s(Crashes(n, 0, "")) for n in (1, 2, 3, 4, 20)] == [0.5, 1, 2, 4, 30]


@pytest.mark.parametrize("fails", ["build", "start"])
def test_an_hour_of_failing_holds_up_neither_another_try_for_long_nor_other_code_at_all(fails: str) -> None:
    wrong, now = target(), 100.0
    current = world(wrong, graph("A"))
    if fails == "build":
        current = replace(current, builds={}, serving={})
    while now < 3700:
        for action in actions(current, now):
            current = events.enact(current, action, now)
            match action:
                case BuildGraph():
                    current = after(current, events.BuildFailed(versions.build_key(wrong), "no module"), now=now)
                case Start():
                    current = after(current, events.ReplicaFailed(action.replica, "boom"), now=now)
                case Kill():
                    current = after(current, events.ReplicaDied(action.replica), now=now)
                case _:
                    pass
        now += 1
    expected = "BuildGraph" if fails == "build" else "Start"
    assert expected in [kind for wait in range(301) for kind in kinds(current, now + wait)], "it is tried on"
    right = target(revision="r2", generation=2, import_path="right:app")
    mended = after(current, events.TargetSet(right), now=now)
    (build,) = (it for it in actions(mended, now) if isinstance(it, BuildGraph))
    built = after(events.enact(mended, build, now), events.BuildDone(versions.build_key(right), graph("A")), now=now)
    assert "Start" in kinds(built, now)


def test_a_node_that_the_operator_takes_away_is_emptied_without_a_gap() -> None:
    before = with_replicas(world(target(), graph("A"), node("n1"), node("n2")), "A", Phase.RUNNING, on="n1")
    leaving = after(before, events.TargetSet(target(drain_nodes=("n1",))))
    (start,) = actions(leaving)
    assert isinstance(start, Start)
    assert start.node == "n2"
    ready = after(events.enact(leaving, start, 100), events.ReplicaReady(start.replica, "h", 1))
    (drain,) = actions(ready)
    assert isinstance(drain, Drain)
    assert ready.replicas[drain.replica].node == "n1"
    assert [(n.name, n.replicas, n.draining) for n in nodes(ready)] == [("n1", 1, True), ("n2", 1, False)]


def test_a_pod_that_ends_gets_no_new_replicas() -> None:
    before = with_replicas(world(target(), graph("A"), node("n1"), node("n2")), "A", Phase.RUNNING, on="n1")
    (replica,) = before.replicas
    (start,) = actions(after(before, events.ReplicaDraining(replica)))
    assert isinstance(start, Start)
    assert start.node == "n2"


def test_a_dead_node_is_nobodys_fault() -> None:
    before = with_replicas(world(target(), graph("A"), node("n1"), node("n2")), "A", Phase.STARTING, on="n1")
    (replica,) = before.replicas
    gone = after(before, events.ReplicaDied(replica, "its node went away", with_node=True))
    assert gone.crashes == {}
    (start,) = actions(gone)
    assert isinstance(start, Start)
    assert start.node == "n2"


def test_a_drain_that_does_not_end_is_cut_off() -> None:
    before = with_replicas(world(target(ingress_replicas=0), graph("A")), "A", Phase.DRAINING, grace_s=20)
    assert kinds(before, now=24) == []
    assert kinds(before, now=25) == ["Kill"]


def test_a_kill_that_ray_did_not_hear_is_repeated() -> None:
    before = with_replicas(world(target(ingress_replicas=0), graph("A")), "A", Phase.STOPPING)
    assert kinds(before, now=9) == []
    assert kinds(before, now=10) == ["Kill"]


def test_deleting_drains_all_and_then_forgets_the_application() -> None:
    before = with_replicas(world(target(), graph("A", "B")), "A", Phase.RUNNING)
    before = with_replicas(before, "B", Phase.STARTING)
    deleted = after(before, events.TargetDeleted("app"))
    (drain,) = actions(deleted)
    assert isinstance(drain, Drain)
    assert "#A#" in drain.replica, "what the ingress works on may call the others to the end"
    alone = after(events.enact(deleted, drain, 100), events.ReplicaDied(drain.replica))
    assert kinds(alone) == ["Kill"]
    gone = after(deleted, *(events.ReplicaDied(replica) for replica in deleted.replicas))
    assert (applications(gone), gone.serving, gone.builds) == ((), {}, {})


def test_routes_name_only_replicas_that_take_requests() -> None:
    before = with_replicas(world(target(), graph("A")), "A", Phase.RUNNING, Phase.STARTING, Phase.DRAINING)
    (application,) = routes(before)
    assert [address.port for address in application.deployments[0].replicas] == [11000]


def test_a_replica_that_fits_nowhere_says_what_it_needs() -> None:
    override = DeploymentOverride.from_plain({"name": "A", "resources": {"cpu_milli": 8000, "custom": {"GPU": 1}}})
    big = world(target(deployments=(override,)), graph("A"))
    assert actions(big) == ()
    assert applications(big)[0].deployments[0].message == "deployment 'A': no worker has room for 8 CPU, 1 GPU"


def test_overrides_of_unknown_deployments_are_named() -> None:
    wrong = world(target(deployments=(DeploymentOverride(name="Modle"),)), graph("Model"))
    assert applications(wrong)[0].build.message == "no deployment is called 'Modle'; the code has 'Model'"


def test_a_policy_for_nobody_is_named() -> None:
    policy = Policy(import_path="m:together")
    idle = world(target(autoscaling_policy=policy), graph("A"))
    said = "autoscalingPolicy m:together is not asked: no deployment has autoscaling"
    assert applications(idle)[0].build.message == said
    used = world(target(autoscaling_policy=policy), graph("A", autoscaling=Autoscaling()))
    assert applications(used)[0].build.message == ""


def test_several_applications_do_not_mix() -> None:
    before = with_replicas(world(target(), graph("A")), "A", Phase.RUNNING)
    other = target(application="other")
    both = after(before, events.TargetSet(other), events.BuildDone(versions.build_key(other), graph("A")))
    (start,) = actions(both)
    assert isinstance(start, Start)
    assert start.replica.startswith("other#A#")


def test_a_failed_replica_is_killed_and_not_replaced_before_it_is_gone_beyond_the_surge() -> None:
    before = with_replicas(world(target(), graph("A")), "A", Phase.FAILED, Phase.STOPPING)
    found = actions(before, now=5)
    assert [type(action) for action in found] == [Kill]


@pytest.mark.parametrize("host", [pytest.param("n2", id="another machine"), pytest.param("n1", id="another pod")])
def test_replicas_that_began_on_one_node_are_spread_without_a_gap(host: str) -> None:
    wanted = target(deployments=(DeploymentOverride(name="A", replicas=2),))
    before = world(wanted, graph("A"), node("n1"), node("n2", host=host))
    before = with_replicas(before, "A", Phase.RUNNING, Phase.RUNNING)
    (start,) = actions(before)
    assert isinstance(start, Start)
    assert start.node == "n2"
    starting = events.enact(before, start, 100)
    assert actions(starting) == ()
    ready = after(starting, events.ReplicaReady(start.replica, "10.0.0.2", 11000))
    (drain,) = actions(ready)
    assert isinstance(drain, Drain)
    assert ready.replicas[drain.replica].node == "n1"
    gone = after(events.enact(ready, drain, 100), events.ReplicaDied(drain.replica))
    assert actions(gone) == ()
    assert {it.node for it in gone.replicas.values()} == {"n1", "n2"}


def test_no_node_gets_more_of_a_deployment_than_it_may_hold() -> None:
    wanted = target(deployments=(DeploymentOverride(name="A", replicas=5, max_replicas_per_node=2),))
    before = world(wanted, graph("A"), node("n1"), node("n2"))
    starts = [it for it in actions(before) if isinstance(it, Start)]
    assert Counter(it.node for it in starts) == {"n1": 2, "n2": 2}


def test_the_code_says_how_many_a_node_may_hold_unless_the_resource_does() -> None:
    built = graph("A", replicas=3, max_replicas_per_node=1)
    assert kinds(world(target(), built)) == ["Start"]
    loose = {"name": "A", "max_replicas_per_node": 3}
    assert kinds(world(target(deployments=(loose,)), built)) == ["Start"] * 3


@pytest.mark.parametrize(("given", "replicas", "tries"), [(None, 1, 3), (1, 1, 1), (5, 1, 3), (5, 2, 5), (20, 2, 6)])
def test_the_code_says_how_many_starts_may_fail(given: int | None, replicas: int, tries: int) -> None:
    before = world(target(), graph("A", replicas=replicas, max_constructor_retry_count=given))
    (deployment,) = versions.resolve(before.serving["app"])
    key = ("app", "A", deployment.version)
    failing = [
        applications(replace(before, crashes={key: Crashes(count, 0, "it failed")}))[0].deployments[0].failing
        for count in (tries - 1, tries)
    ]
    assert failing == [False, True]
