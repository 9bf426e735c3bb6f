"""A small world for the operator's plan: pods that come up and go, and controllers that follow their targets."""

from __future__ import annotations

import copy
import itertools
import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from remora_api import wire
from remora_api.meta import Annotation, Component, Label
from remora_api.v1alpha1 import Condition, ServeApplication
from remora_operator import names
from remora_operator.kinds import CONFIG_MAP, DEPLOYMENT, REPLICA_SET, STATEFUL_SET, Manifest, Ref, ref_of
from remora_operator.observed import Child, ControllerView, Exit, Observed, Pod, Refusal, child_from
from remora_operator.plan import Plan, plan
from remora_operator.resources.head import LOST_STORE
from remora_operator.scale import deletion_rank
from tests.fakes.applications import INSTALLATION, NOW, manifest, pod

BAD = "bad"
"""In an import path: the code cannot be imported. In an image or the environment: pods never start."""


@dataclass
class Controller:
    """Follows its target at once, but drains a node only when told and not before there is room elsewhere."""

    target: wire.Target | None = None
    replicas: dict[str, int] = field(default_factory=dict)
    """By pod."""
    leaves: bool = False
    """It was told to drain everything, and does so in the next step."""
    epoch: str = "e"
    version: int = 0


@dataclass
class World:
    """Kubernetes and Ray, as far as a plan can tell."""

    resource: Manifest
    now: datetime = NOW
    children: dict[Ref, Manifest] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)
    controllers: dict[int, Controller] = field(default_factory=dict)
    routed: dict[str, int] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)
    figures: tuple[wire.ProxyFigures, ...] = ()
    reachable: bool = True
    refuses: str = "no such word"
    """A word in a template that the API server does not take."""
    refused: Refusal | None = None
    most_workers: int = 0
    counter: Any = field(default_factory=itertools.count)
    writes: int = 0

    @property
    def application(self) -> ServeApplication:
        return ServeApplication.from_manifest(self.resource)

    def observed(self) -> Observed:
        return Observed(
            children={ref: child_from(it) for ref, it in self.children.items()},
            pods=tuple(self.pods.values()),
            controllers={number: self._view(number) for number in self.controllers},
            secrets=frozenset(self.secrets),
            routed=dict(self.routed),
            figures=self.figures,
            refused=self.refused,
        )

    def reconcile(self) -> Plan:
        """Reconcile several times before anything else moves: what was written shows at once, its effect later."""
        for _ in range(3):
            decided = self._reconcile()
        return decided

    def _reconcile(self) -> Plan:
        decided = plan(self.application, self.observed(), INSTALLATION, self.now)
        for link in decided.links:
            # Before there can be replicas: a head that finds no tables has to know that it must not start.
            assert link.target is None or self._is_born(link.incarnation), f"{link} without the mark of its birth"
        self.secrets |= {it["metadata"]["name"] for it in decided.secrets}
        for it in decided.applies:
            if self.refuses in json.dumps(it) and ref_of(it).kind in (REPLICA_SET, STATEFUL_SET):
                assert decided.revision is not None
                self.refused = Refusal(*decided.revision, f"{ref_of(it)} is invalid")
                return decided
            stored = copy.deepcopy(it)
            stored["metadata"]["uid"] = f"u{next(self.counter)}"
            self.children[ref_of(it)] = stored
        for name, cost in decided.costs:
            self.pods[name] = replace(self.pods[name], deletion_cost=cost)
        for ref, replicas in decided.resizes:
            self.children[ref]["spec"]["replicas"] = replicas
        self.most_workers = max(self.most_workers, self._possible_workers())
        for child in decided.deletes:
            self._delete(child)
        self.controllers = {it.incarnation: self.controllers.get(it.incarnation, Controller()) for it in decided.links}
        for link in decided.links:
            if self.reachable and (link.target is not None or link.leaves):
                self.controllers[link.incarnation].target = link.target or self.controllers[link.incarnation].target
                self.controllers[link.incarnation].leaves = link.leaves
        if decided.push is not None:
            self.routed |= {boot: decided.push.routing.version for boot, _ in decided.push.proxies}
        if decided.status is not None:
            self.resource["status"] = decided.status.model_dump(mode="json", by_alias=True, exclude_none=True)
        return decided

    def _is_born(self, incarnation: int) -> bool:
        return Ref(CONFIG_MAP, names.born(self.application.metadata.name, incarnation)) in self.children

    def _possible_workers(self) -> int:
        """Return the worker pods that there may be for a moment: Kubernetes adds and removes in no certain order."""
        owners = list(self.owners().values())
        sets = {ref: it["spec"]["replicas"] for ref, it in self.children.items() if ref.kind is REPLICA_SET}
        return sum(max(replicas, owners.count(ref)) for ref, replicas in sets.items())

    def tick(self) -> None:
        """Kubernetes and Ray make a step."""
        self.now += timedelta(seconds=5)
        for ref, it in list(self.children.items()):
            if ref.kind in (STATEFUL_SET, REPLICA_SET, DEPLOYMENT):
                self._size(ref, it)
        for name, was in self.pods.items():
            lost = any(end.code == LOST_STORE for end in was.exits)
            if self._is_bad(name):
                self.pods[name] = replace(was, trouble="container worker: ErrImagePull: no such image")
            elif not was.is_ready and not lost:
                started = frozenset({"ray", "controller", "worker", "proxy"})
                self.pods[name] = replace(
                    was, is_ready=True, phase="Running", node="n1", ready_since=self.now, started=started
                )
        for number, controller in self.controllers.items():
            self._serve(number, controller)

    def _is_bad(self, pod_name: str) -> bool:
        """Whether a pod was made from a template with an image that cannot be pulled."""
        owner = self.owners()[pod_name]
        return owner is not None and BAD in json.dumps(self.children[owner]["spec"]["template"])

    def _size(self, ref: Ref, it: Manifest) -> None:
        wanted = it["spec"]["replicas"]
        mine = [name for name, owner in self.owners().items() if owner == ref]
        for _ in range(wanted - len(mine)):
            name = f"{ref.name}-{next(self.counter)}"
            labels = it["spec"]["template"]["metadata"]["labels"]
            self.pods[name] = pod(
                name,
                Component(labels[Label.COMPONENT]),
                incarnation=int(labels.get(Label.INCARNATION, 0)),
                group=labels.get(Label.GROUP, ""),
                template=labels.get(Label.POD_TEMPLATE_HASH, ""),
                is_ready=False,
                ready_since=None,
                phase="Pending",
                node="",
                created=self.now,
                started=frozenset(),
                ip=f"10.0.0.{len(self.pods) % 250}",
            )
        doomed = sorted(mine, key=lambda name: deletion_rank(self.pods[name]))[: max(0, len(mine) - wanted)]
        for name in doomed:
            held = sum(it.replicas.get(name, 0) for it in self.controllers.values())
            assert held == 0, f"{ref} deleted {name} with {held} replicas on it"
            del self.pods[name]

    def owners(self) -> dict[str, Ref | None]:
        return {
            name: next((ref for ref in self.children if name.startswith(f"{ref.name}-") and self._owns(ref, it)), None)
            for name, it in self.pods.items()
        }

    def _owns(self, ref: Ref, it: Pod) -> bool:
        kinds = {Component.HEAD: STATEFUL_SET, Component.WORKER: REPLICA_SET, Component.PROXY: DEPLOYMENT}
        return ref.kind is kinds[it.component]

    def _delete(self, child: Child) -> None:
        gone = [name for name, owner in self.owners().items() if owner == child.ref]
        if child.ref.kind is REPLICA_SET and child.incarnation in self.controllers:
            held = sum(self.controllers[child.incarnation].replicas.get(name, 0) for name in gone)
            stops = self.application.spec.suspend
            assert not held or stops or not self._view(child.incarnation).is_reachable, (
                f"{child.ref} had {held} replicas"
            )
        for name in gone:
            del self.pods[name]
        del self.children[child.ref]

    def serving(self) -> int:
        routing = next(it for ref, it in self.children.items() if ref.name.endswith("-routing"))
        return int(routing["metadata"]["annotations"]["remora.dev/incarnation"])

    def weights(self) -> list[tuple[str, int]]:
        routing = next(it for ref, it in self.children.items() if ref.name.endswith("-routing"))
        (routed,) = wire.Routing.from_json(routing["data"]["routing.json"]).applications
        return [(it.url.removeprefix("http://").partition(".")[0], it.weight) for it in routed.controllers]

    def _nodes(self, number: int) -> dict[str, Pod]:
        return {
            name: it
            for name, it in self.pods.items()
            if it.component is Component.WORKER and it.incarnation == number and it.is_ready
        }

    def _serve(self, number: int, controller: Controller) -> None:
        nodes = self._nodes(number)
        controller.replicas = {name: count for name, count in controller.replicas.items() if name in nodes}
        target = controller.target
        if target is not None and controller.leaves and self._head_ready(number):
            # The ingress in one step, what it calls in the next.
            controller.target, controller.replicas = (None, {}) if not controller.replicas else (target, {})
            return
        if target is None or not self._head_ready(number) or BAD in target.import_path:
            return
        wanted = {(it.name, it.template) for it in target.groups}
        good = [
            name for name, it in nodes.items() if (it.group, it.template) in wanted and name not in target.drain_nodes
        ]
        desired = _desired(target)
        on_good = sum(controller.replicas.get(it, 0) for it in good)
        room = desired + max(target.max_surge, 1) - sum(controller.replicas.values())
        for name in sorted(good):
            started = max(0, min(2 - controller.replicas.get(name, 0), desired - on_good, room))
            controller.replicas[name] = controller.replicas.get(name, 0) + started
            on_good, room = on_good + started, room - started
        for name in sorted(good, reverse=True):
            surplus = sum(controller.replicas.get(it, 0) for it in good) - desired
            controller.replicas[name] = max(0, controller.replicas.get(name, 0) - max(0, surplus))
        # Replicas of old pods go as their successors come, those of the emptiest pod first.
        old = sorted((name for name in controller.replicas if name not in good), key=lambda it: controller.replicas[it])
        for name in old:
            spare = sum(controller.replicas.values()) - desired
            controller.replicas[name] -= max(0, min(controller.replicas[name], spare))

    def _head_ready(self, number: int) -> bool:
        return any(
            it.component is Component.HEAD and it.incarnation == number and it.is_ready for it in self.pods.values()
        )

    def _head_is_lost(self, number: int) -> bool:
        heads = (it for it in self.pods.values() if it.component is Component.HEAD and it.incarnation == number)
        return any(end.code == LOST_STORE for it in heads for end in it.exits)

    def _view(self, number: int) -> ControllerView:
        controller = self.controllers[number]
        if self.reachable and self._head_is_lost(number):
            # The controller beside lost tables takes the poll and keeps it: it has nothing to say.
            return ControllerView()
        if not self.reachable or not self._head_ready(number):
            return ControllerView(is_reachable=False, error="nobody answers")
        target, nodes = controller.target, self._nodes(number)
        ready = sum(controller.replicas.values())
        drained = target.drain_nodes if target else ()
        applications: tuple[wire.ApplicationStatus, ...] = ()
        if target is not None:
            built = wire.BuildState.BUILT if nodes else wire.BuildState.WAITING
            if nodes and BAD in target.import_path:
                built = wire.BuildState.FAILED
            on_target = sum(
                count
                for name, count in controller.replicas.items()
                if nodes[name].template in {it.template for it in target.groups}
            )
            desired = _desired(target)
            applications = (
                wire.ApplicationStatus(
                    application=target.application,
                    generation=target.generation,
                    revision=target.revision,
                    build=wire.BuildStatus(
                        state=built, message="ImportError: no such module" if built is wire.BuildState.FAILED else ""
                    ),
                    deployments=(
                        wire.DeploymentStatus(
                            name="Ingress",
                            ingress=True,
                            desired=desired,
                            ready=ready,
                            updated=on_target,
                            total=ready,
                            version="v",
                            resources=wire.Resources(cpu_milli=500),
                            spread=False,
                        ),
                    )
                    if nodes
                    else (),
                ),
            )
        return ControllerView(
            is_reachable=True,
            status=wire.ControllerStatus(
                epoch=controller.epoch,
                version=1,
                ray_version="2.60.0",
                remora_version="0.1.0",
                applications=applications,
                nodes=tuple(
                    wire.NodeStatus(
                        name=name,
                        group=it.group,
                        template=it.template,
                        replicas=controller.replicas.get(name, 0),
                        draining=name in drained,
                    )
                    for name, it in nodes.items()
                ),
            ),
        )

    # ── what happens to it ──

    def change(self, **spec: Any) -> None:
        self.resource["spec"] |= spec
        self.resource["metadata"]["generation"] += 1

    def lose_head(self) -> None:
        for name, it in self.pods.items():
            if it.component is Component.HEAD:
                self.pods[name] = replace(
                    it, is_ready=False, started=frozenset(), exits=(Exit("ray", LOST_STORE, "LostStore"),)
                )

    def kill_worker(self) -> None:
        workers = sorted(name for name, it in self.pods.items() if it.component is Component.WORKER)
        if workers:
            del self.pods[workers[0]]
            for controller in self.controllers.values():
                controller.replicas.pop(workers[0], None)

    def settle(self, rounds: int = 60, *, stalled: bool = False) -> None:
        """Go on until nothing is to be done, and the application is Ready (or stalled, as it may be)."""
        for _ in range(rounds):
            self.reconcile()
            self.tick()
            decided = plan(self.application, self.observed(), INSTALLATION, self.now)
            waits = decided.push is not None or any(it.leaves for it in decided.links)
            if decided.writes_nothing and not waits and (self.is_ready() or (stalled and self.is_stalled())):
                return
        raise AssertionError(f"not settled: {self.resource.get('status')} {self.children.keys()} {self.pods.keys()}")

    def is_ready(self) -> bool:
        status = self.application.status
        ready = status.condition("Ready")
        return ready is not None and ready.status.value == "True" and ready.observed_generation == self.generation

    def is_stalled(self) -> bool:
        stalled = self.application.status.condition("Stalled")
        return stalled is not None and stalled.observed_generation == self.generation

    def condition(self, kind: str) -> Condition:
        """Return the condition of this type, which has to be there."""
        found = self.application.status.condition(kind)
        assert found is not None, f"no condition {kind}"
        return found

    def target(self, incarnation: int) -> wire.Target:
        """Return what the controller of this Ray cluster was told last."""
        found = self.controllers[incarnation].target
        assert found is not None, f"the controller of {incarnation} was told nothing"
        return found

    def reason(self) -> str:
        ready = self.application.status.condition("Ready")
        return ready.reason if ready is not None else ""

    def capacity(self) -> int:
        """Return the replicas behind the requests: of each Ray cluster that gets any, the fewest."""
        numbers = [int(name.rpartition("-")[2]) for name, weight in self.weights() if weight]
        return min(sum(self.controllers[it].replicas.values()) if it in self.controllers else 0 for it in numbers)

    def annotate(self, words: str) -> None:
        """Ask something of the rollout, as `remora rollout` does: `VERB [STEP]` of the rollout under way, if one is."""
        verb, _, step = words.partition(" ")
        status = self.application.status
        latest = next((it for it in status.revisions if it.name == status.updated_revision), None)
        if latest is None:
            # The command refuses: while reconciling is paused a revision may be named that was never kept.
            return
        self.resource["metadata"].setdefault("annotations", {})[Annotation.ROLLOUT] = (
            f"{verb} {latest.name}/{latest.number} {step}".strip()
        )

    @property
    def generation(self) -> int:
        generation: int = self.resource["metadata"]["generation"]
        return generation


def _desired(target: wire.Target) -> int:
    """Return the ingress's number: what the resource says, else that of the program, which is 1."""
    return 1 if target.ingress_replicas is None else target.ingress_replicas


def fresh(**spec: Any) -> World:
    return World(manifest(**{"replicas": 1, **spec}))
