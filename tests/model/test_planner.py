"""The planner under random changes and deaths: what it promises of every deployment holds at every step.

The simulated world does what `performer` and Ray would do, one thing at a time and in any order. The controller dies in
between, also with a plan written down and half of it done, and another goes on by `recovery` from what is left.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import msgspec
from hypothesis import Phase as Phase_
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from remora.controller import events, recovery, versions
from remora.controller.actions import Action, Drain, Kill, Reconfigure, Start
from remora.controller.checkpoint import Saved, replica_from_bytes, replica_to_bytes, saved_of
from remora.controller.cluster import ActorFailed
from remora.controller.lifecycle import Phase
from remora.controller.planner import members_of, plan
from remora.controller.routes import routes
from remora.controller.state import BuildKey, BuiltDeployment, Bundle, Graph, Node, NodeId, Scaled, Seat, World
from remora.controller.status import applications
from remora.replica.config import Started
from remora.types import ReplicaId
from remora_api.autoscaling import Autoscaling
from remora_api.wire import BuildState, DeploymentOverride, GroupTarget, Resources, Target
from remora_api.wire_group import Gang, PlacementGroup, Strategy

# Shrinking takes minutes; the failing sequence as it was found is short enough to read.
PHASES = (Phase_.explicit, Phase_.reuse, Phase_.generate)
NAMES = ("A", "B")
NODES = ("n1", "n2", "n3")
GROUPS = (
    None,
    PlacementGroup(bundles=({"CPU": 0.25}, {"CPU": 0.75})),
    PlacementGroup(bundles=({"CPU": 0.5}, {"CPU": 0.5}), strategy=Strategy.STRICT_PACK),
    PlacementGroup(bundles=({"CPU": 0.5}, {"CPU": 0.25}, {"CPU": 0.25}), strategy=Strategy.SPREAD),
)
"""What each of B's replicas may reserve: together as much as one of A's takes."""
HOSTS = {"n1": "h1", "n2": "h1", "n3": "h3"}


@dataclass
class Actor:
    """What a replica's process knows of itself, as `RayReplica` asks it."""

    record: bytes
    drains: bool = False
    settings: str = ""
    is_started: bool = False

    async def recall(self) -> tuple[bytes, bool, str]:
        return self.record, self.drains, self.settings

    async def start(self) -> Started:
        if not self.is_started:
            raise ActorFailed("it starts still")
        return Started("h", 1, 1)

    async def kill(self) -> None:
        raise AssertionError("every replica here is known to the controller")


@dataclass
class Ray:
    """The replicas that live, as `RayCluster` finds them."""

    known: Mapping[NodeId, Node] = field(default_factory=dict)
    actors: dict[ReplicaId, Actor] = field(default_factory=dict)
    groups: set[ReplicaId] = field(default_factory=set)
    """Replicas that have a placement group."""

    async def replicas(self) -> list[ReplicaId]:
        return list(self.actors)

    async def find(self, replica: ReplicaId) -> Any:
        return self.actors.get(replica)

    async def nodes(self) -> Mapping[NodeId, Node]:
        return self.known

    async def release_all_but(self, replicas: Collection[ReplicaId]) -> None:
        self.groups &= set(replicas)


class Cluster(RuleBasedStateMachine):
    """One application of two deployments on three nodes that come and go."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.now = 0.0
        self.numbers = count()
        self.surge, self.unavailable = 1, 0
        self.revision = 1
        self.counts = dict.fromkeys(NAMES, 1)
        self.leaving: set[str] = set()
        self.autoscaled: set[str] = set()
        self.word, self.asleep, self.paused = 0, False, False
        self.coded = set(NAMES)
        self.group: PlacementGroup | None = None
        self.gang: Gang | None = None
        self.slack = 0
        self.ray = Ray()

    @initialize(
        surge=st.integers(0, 2), unavailable=st.integers(0, 2), group=st.sampled_from(GROUPS), gang=st.booleans()
    )
    def begin(self, surge: int, unavailable: int, group: PlacementGroup | None, gang: bool) -> None:
        self.group, self.gang, self.slack = group, Gang(size=2) if gang else None, 2 * gang
        self.surge, self.unavailable = (1, 0) if surge == unavailable == 0 else (surge, unavailable)
        self.nodes(set(NODES))
        self.target()

    def target(self) -> None:
        self.learn(
            events.TargetSet(
                Target(
                    application="app",
                    generation=1,
                    revision=f"r{self.revision}",
                    import_path="m:app",
                    args={"revision": self.revision},
                    groups=(GroupTarget(name="g", template="t"),),
                    max_surge=0 if self.paused else self.surge,
                    max_unavailable=0 if self.paused else self.unavailable,
                    asleep=self.asleep,
                    deployments=tuple(self.override(n, c) for n, c in self.counts.items()),
                    drain_nodes=tuple(sorted(self.leaving)),
                )
            )
        )

    def override(self, name: str, count: int) -> DeploymentOverride:
        scales = name in self.autoscaled
        return DeploymentOverride(
            name=name,
            user_config={"word": self.word},
            has_user_config=True,
            replicas=None if scales else count,
            autoscaling=Autoscaling(min_replicas=0, max_replicas=4) if scales else None,
        )

    def nodes(self, names: set[str], cpu_milli: int = 8000) -> None:
        self.ray.known = {
            NodeId(name): Node(
                id=NodeId(name), name=name, host=HOSTS[name], group="g", template="t", cpu_milli=cpu_milli
            )
            for name in names
        }
        self.learn(events.NodesSeen(self.ray.known))

    def learn(self, event: events.Event) -> None:
        self.world = events.learn(self.world, event, self.now)

    def replicas(self, *phases: Phase) -> list[ReplicaId]:
        return sorted(r.id for r in self.world.replicas.values() if r.phase in phases)

    @rule()
    def act(self) -> None:
        """Ask for a plan, write it down, checking what it takes away, and do it."""
        for action in self.decide():
            self.perform(action)
        self.check_gangs()

    def check_gangs(self) -> None:
        """After a plan no gang is there in part: all of it, or nothing that is to stay."""
        staying = Counter(it.seat.gang for it in self.world.replicas.values() if it.seat and not it.is_leaving)
        assert set(staying.values()) <= {2}, f"of gangs there are {staying}"

    def decide(self) -> tuple[Action, ...]:
        self.world = events.expire(self.world, self.now)
        planned = plan(self.world, self.now, self.new_id)
        for action in planned.actions:
            self.check_floor(action)
            before = self.occupied()
            self.world = events.enact(self.world, action, self.now)
            self.check_ceiling(before)
        return planned.actions

    def perform(self, action: Action) -> None:
        match action:
            case Start(replica):
                if action.bundles:
                    self.ray.groups.add(replica)
                self.ray.actors[replica] = Actor(replica_to_bytes(self.world.replicas[replica]))
            case Drain(replica) if replica in self.ray.actors:
                self.ray.actors[replica].drains = True
            case Kill(replica):
                self.ray.actors.pop(replica, None)
            case Reconfigure(replica, _, settings_) if replica in self.ray.actors:
                self.ray.actors[replica].settings = settings_
            case _:
                pass

    @rule(done=st.integers(0, 3), anew=st.booleans())
    def the_controller_dies(self, done: int, anew: bool) -> None:
        """It had planned and written down; of what was to be done, perhaps new settings, only the first was."""
        if anew:
            self.configure()
        actions = self.decide()
        for action in actions[:done]:
            self.perform(action)
        kept = msgspec.json.decode(msgspec.json.encode(saved_of(self.world)), type=Saved)
        ray: Any = self.ray
        self.world, _ = asyncio.run(recovery.recover(ray, kept, 1, self.now))
        for replica in self.world.replicas.values():
            if replica.phase is Phase.DRAINING:
                self.perform(Drain(replica.id, replica.grace_s))

    @rule(asleep=st.booleans())
    def sleep(self, asleep: bool) -> None:
        self.asleep = asleep
        self.target()

    @rule(paused=st.booleans())
    def pause(self, paused: bool) -> None:
        self.paused = paused
        self.target()

    @rule()
    def configure(self) -> None:
        self.word += 1
        self.target()

    @rule(coded=st.sampled_from([{"A"}, {"A", "B"}, {"A", "B"}]), group=st.sampled_from(GROUPS), gang=st.booleans())
    def new_code(self, coded: set[str], group: PlacementGroup | None, gang: bool) -> None:
        """Without B, or with it again, whose replicas may reserve something, and may come in gangs."""
        self.coded, self.group, self.gang = coded, group, Gang(size=2) if gang else None
        # Gangs are replaced as a whole, also by replicas that are on their own: by the smaller part, both ways.
        self.slack = max(self.slack, 2 * gang)
        self.revision += 1
        self.target()

    @rule()
    def delete_and_apply_again(self) -> None:
        self.learn(events.TargetDeleted("app"))
        self.act()
        self.target()

    def new_id(self, application: str, deployment: str) -> ReplicaId:
        return ReplicaId(f"{application}#{deployment}#{next(self.numbers):08x}")

    def wanted(self) -> dict[str, int]:
        serving = self.world.serving.get("app")
        return {d.name: d.count for d in versions.resolve(serving)} if serving else {}

    def limits(self) -> tuple[int, int]:
        """Return surge and unavailability: of the latest target, also while it is being built."""
        target = self.world.targets.get("app")
        return (target.max_surge, target.max_unavailable) if target else (0, 0)

    def occupied(self) -> dict[str, int]:
        return {name: len(members_of(self.world, "app", name)) for name in NAMES}

    def check_floor(self, action: Action) -> None:
        if not isinstance(action, Drain | Kill):
            return
        replica = self.world.replicas[action.replica]
        if not replica.is_ready:
            return
        if replica.seat is not None and self.is_broken(replica.seat):
            return
        ready = sum(r.is_ready for r in members_of(self.world, "app", replica.deployment))
        # Of an application that was deleted nothing has to stay.
        floor = self.wanted().get(replica.deployment, 0) - self.limits()[1] if self.world.targets else 0
        floor -= self.slack if replica.deployment == "B" else 0
        assert ready - 1 >= floor, f"{action} leaves {ready - 1} ready, below {floor}"

    def is_broken(self, seat: Seat) -> bool:
        """Whether a member has failed, or gone: what is left of the gang has to go at once."""
        there = [self.world.replicas.get(id_) for id_ in seat.members]
        return any(it is None or it.phase in (Phase.FAILED, Phase.STOPPING, Phase.DRAINING) for it in there)

    def check_ceiling(self, before: dict[str, int]) -> None:
        for name, limit in self.wanted().items():
            now = self.occupied()[name]
            slack = self.slack if name == "B" else 0
            assert now <= max(limit + self.limits()[0] + slack, before[name]), f"{name} has {now}"

    @rule(name=st.sampled_from(NAMES), replicas=st.integers(0, 4))
    def scale(self, name: str, replicas: int) -> None:
        self.counts[name] = replicas
        self.target()

    @rule(name=st.sampled_from(NAMES))
    def turn_autoscaling(self, name: str) -> None:
        self.autoscaled ^= {name}
        self.target()

    @rule(name=st.sampled_from(NAMES), count=st.integers(0, 4))
    def autoscaling_decides(self, name: str, count: int) -> None:
        """Of a deployment that is not autoscaled, any more or yet, the news comes to nothing."""
        self.learn(events.ReplicasScaled("app", {name: Scaled(count, "for want of a better number")}))

    @rule(name=st.sampled_from(NODES))
    def drain_all_but(self, name: str) -> None:
        self.leaving = set(NODES) - {name}
        self.target()

    @rule()
    def new_revision(self) -> None:
        self.revision += 1
        self.target()

    @rule(name=st.sampled_from(NODES))
    def drain_node(self, name: str) -> None:
        self.leaving ^= {name}
        if len(self.leaving) == len(NODES):
            self.leaving.clear()
        self.target()

    @precondition(lambda self: any(b.is_running for b in self.world.builds.values()))
    @rule(outcome=st.sampled_from(["done", "done", "failed", "lost"]))
    def build(self, outcome: str) -> None:
        key = next(key for key, b in self.world.builds.items() if b.is_running)
        self.finish(key, outcome)

    def finish(self, key: BuildKey, outcome: str) -> None:
        match outcome:
            case "done":
                built = tuple(
                    BuiltDeployment(
                        name="B", definition="B", resources=Resources(cpu_milli=250), group=self.group, gang=self.gang
                    )
                    if name == "B" and (self.group is not None or self.gang is not None)
                    else BuiltDeployment(name=name, definition=name, resources=Resources())
                    for name in sorted(self.coded)
                )
                self.learn(events.BuildDone(key, Graph("A", built)))
            case "failed":
                self.learn(events.BuildFailed(key, "ImportError"))
            case _:
                self.learn(events.BuildLost(key, "node gone"))

    @precondition(lambda self: self.replicas(Phase.STARTING))
    @rule(data=st.data(), fails=st.booleans())
    def start(self, data: st.DataObject, fails: bool) -> None:
        id_ = data.draw(st.sampled_from(self.replicas(Phase.STARTING)))
        self.started(id_, fails=fails)

    def started(self, id_: ReplicaId, *, fails: bool = False) -> None:
        if id_ in self.ray.actors:
            self.ray.actors[id_].is_started = not fails
        self.learn(events.ReplicaFailed(id_, "boom") if fails else events.ReplicaReady(id_, "h", 1))

    def died(self, id_: ReplicaId, message: str = "") -> None:
        self.ray.actors.pop(id_, None)
        self.ray.groups.discard(id_)
        self.learn(events.ReplicaDied(id_, message))

    @precondition(lambda self: self.world.replicas)
    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        self.died(data.draw(st.sampled_from(self.replicas(*Phase))), "killed")

    @precondition(lambda self: self.replicas(Phase.RUNNING))
    @rule(data=st.data())
    def pod_ends(self, data: st.DataObject) -> None:
        id_ = data.draw(st.sampled_from(self.replicas(Phase.RUNNING)))
        self.ray.actors[id_].drains = True
        self.learn(events.ReplicaDraining(id_))

    @rule(seconds=st.sampled_from([0.1, 1, 10, 100]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: any(it.seat and it.is_ready for it in self.world.replicas.values()))
    @rule(data=st.data())
    def a_member_of_a_gang_dies(self, data: st.DataObject) -> None:
        """What serves of its gang is not kept, whatever the budget says."""
        members = sorted(it.id for it in self.world.replicas.values() if it.seat and it.is_ready)
        self.died(data.draw(st.sampled_from(members)), "killed")
        self.act()

    @rule()
    def all_goes_well_for_a_while(self) -> None:
        self.settle(3)

    @rule(data=st.data())
    @precondition(lambda self: self.ray.groups)
    def dies_unseen(self, data: st.DataObject) -> None:
        """A replica ends while no controller sees it: the next one gives back what it had reserved."""
        self.ray.actors.pop(data.draw(st.sampled_from(sorted(self.ray.groups))), None)
        self.the_controller_dies(0, anew=False)
        assert self.ray.groups <= self.ray.actors.keys()

    @invariant()
    def takes_no_more_than_there_is(self) -> None:
        held = Counter[NodeId]()
        for replica in self.world.replicas.values():
            for bundle in replica.bundles or (Bundle(replica.node, replica.resources),):
                held[bundle.node] += bundle.resources.cpu_milli
        assert all(held[id_] <= (node.cpu_milli or 0) for id_, node in self.world.nodes.items()), held

    @invariant()
    def reserves_for_replicas_alone(self) -> None:
        """Every group is a replica's, and every replica that reserves something has all of it, itself in the first."""
        assert self.ray.groups <= self.world.replicas.keys()
        sizes = {len(it.bundles) for it in GROUPS if it is not None}
        for replica in self.world.replicas.values():
            assert not replica.bundles or len(replica.bundles) in sizes
            assert not replica.bundles or replica.bundles[0].node == replica.node

    @invariant()
    def describes_itself(self) -> None:
        for status in applications(self.world):
            for deployment in status.deployments:
                assert deployment.updated >= deployment.desired or deployment.message
        for route in routes(self.world):
            for deployment_routes in route.deployments:
                ready = {r.id for r in self.world.replicas.values() if r.is_ready}
                assert {address.replica for address in deployment_routes.replicas} <= ready

    def teardown(self) -> None:
        """Left alone, with code that works, the cluster comes to rest as wanted, and stays."""
        if not self.world.targets:
            return
        self.paused, self.asleep = False, False
        # All that is wanted fits one node, as may be left. What a surge needs beside it the operator adds pods for.
        self.nodes(set(NODES), cpu_milli=8000 + 4000)
        self.target()
        self.settle(400)
        (status,) = applications(self.world)
        assert status.build.state is BuildState.BUILT
        assert {d.name: (d.ready, d.updated, d.total) for d in status.deployments} == {
            name: (n, n, n) for name, n in self.wanted().items()
        }
        assert {name: n for name, n in self.wanted().items() if name not in self.autoscaled} == {
            name: n + n % 2 if name == "B" and self.gang else n
            for name, n in self.counts.items()
            if name in self.coded - self.autoscaled
        }
        assert not any(
            self.world.nodes[id_].name in self.leaving for r in self.world.replicas.values() for id_ in r.nodes
        )
        assert plan(self.world, self.now, self.new_id).actions == ()
        self.check_actors()
        # New settings that were written down and never told: at random this comes up too seldom.
        self.the_controller_dies(0, anew=True)
        self.settle(60)
        self.check_actors()
        # Nodes that come back are used: what was crowded on the others is spread again.
        self.leaving.clear()
        self.target()
        self.settle(60)
        assert plan(self.world, self.now, self.new_id).actions == ()
        self.check_spread()

    def settle(self, turns: int) -> None:
        """Let everything that is under way go well."""
        for _ in range(turns):
            self.act()
            for key in [key for key, build in self.world.builds.items() if build.is_running]:
                self.finish(key, "done")
            for id_ in self.replicas(Phase.STARTING):
                self.started(id_)
            for id_ in self.replicas(Phase.DRAINING, Phase.STOPPING):
                self.died(id_)
            self.now += 5

    def check_actors(self) -> None:
        """Every process is a replica's, and has been told the settings that hold now."""
        assert self.ray.actors.keys() == self.world.replicas.keys()
        assert self.ray.groups == {it.id for it in self.world.replicas.values() if it.bundles}
        wanted = {it.name: it.settings for it in versions.resolve(self.world.serving["app"])}
        for id_, actor in self.ray.actors.items():
            begun = replica_from_bytes(actor.record)
            assert (actor.settings or begun.settings) == wanted[begun.deployment], f"{id_} has other settings"

    def check_spread(self) -> None:
        """Two replicas are on two machines, or else two nodes, where there are two, unless some failed to start."""
        homes = [it for it in self.world.nodes.values() if it.name not in self.leaving]
        failed = {deployment for _, deployment, _ in self.world.crashes}
        for name, number in self.wanted().items():
            held = [self.world.nodes[it.node] for it in members_of(self.world, "app", name)]
            if any(len(it.nodes) > 1 or it.seat for it in members_of(self.world, "app", name)):
                continue
            assert len({it.host for it in held}) >= min(2, number, len({it.host for it in homes})) or name in failed
            assert len({it.id for it in held}) >= min(2, number, len(homes)) or name in failed


TestCluster = Cluster.TestCase
TestCluster.settings = settings(max_examples=100, stateful_step_count=50, deadline=None, phases=PHASES)
