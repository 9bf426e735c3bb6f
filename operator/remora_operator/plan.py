"""Second step of a reconcile: from what is wanted and what is, to what to do. Nothing is done here.

Pure. The chain reads as an application comes up: Ray clusters, workers, target, routing, the objects for all that, and
the status. A plan holds only differences: in a steady state it is empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from remora_api import wire
from remora_api.keys import Purpose
from remora_api.meta import Annotation, Component, ConditionType, Port
from remora_api.target import target_from
from remora_api.v1alpha1 import Analysis, ServeApplication, ServeApplicationStatus
from remora_operator import chosen, events, incarnations, judgement, names, pause, revisions, routing, sleep, surge
from remora_operator.analysis import complaint
from remora_operator.conditions import judge
from remora_operator.incarnations import INCARNATION_ANNOTATION, LAST_ANNOTATION, LOST_AFTER, Clusters
from remora_operator.installation import Installation
from remora_operator.kinds import CONFIG_MAP, CONTROLLER_REVISION, DEPLOYMENT, POD_BEARING, Manifest, Ref, ref_of
from remora_operator.observed import Child, CodeMissing, Observed, Pod
from remora_operator.resources import head, keys, network, proxy, revision, serviceaccount, worker
from remora_operator.resources.metadata import Owner
from remora_operator.revisions import STABLE_ANNOTATION, Choice
from remora_operator.sleep import Rest
from remora_operator.status import facts_of, status
from remora_operator.workers import Workers, workers

RETRY_CODE = timedelta(seconds=30)
"""How often a ConfigMap that is missing is looked for, besides being watched for."""


@dataclass(frozen=True, slots=True)
class Link:
    """One controller to stay in touch with, and what it has to reach; None leaves it with what it has."""

    incarnation: int
    url: str
    key: str = field(repr=False)
    target: wire.Target | None
    leaves: bool = False
    """Its Ray cluster gets no requests any more: let it drain all replicas."""


@dataclass(frozen=True, slots=True)
class Push:
    """Routing that proxies have not taken yet."""

    routing: wire.Routing
    key: str = field(repr=False)
    proxies: tuple[tuple[str, str], ...]
    """Boot and base URL of each."""


@dataclass(frozen=True, slots=True)
class Watch:
    """One proxy to listen to: whether somebody asks for an application that may be at zero."""

    boot: str
    url: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Counted:
    """Proxies to ask how two revisions do."""

    key: str = field(repr=False)
    proxies: tuple[str, ...]
    """Base URL of each."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do. All of it is safe to do again."""

    secrets: tuple[Manifest, ...] = ()
    """To create unless they exist."""
    applies: tuple[Manifest, ...] = ()
    resizes: tuple[tuple[Ref, int], ...] = ()
    costs: tuple[tuple[str, int], ...] = ()
    """Deletion costs to write, by pod."""
    deletes: tuple[Child, ...] = ()
    links: tuple[Link, ...] = ()
    push: Push | None = None
    watches: tuple[Watch, ...] = ()
    counted: Counted | None = None
    revision: tuple[str, int] | None = None
    """Name and number of the revision that all this is to bring about."""
    status: ServeApplicationStatus | None = None
    """To write; None when the one that stands is right."""
    events: tuple[events.Event, ...] = ()
    requeue_after: timedelta | None = None

    @property
    def is_a_step(self) -> bool:
        """Once this is written there may be more to do, though nothing else happens: a cost, then the resize;
        a revision that failed, then the way back."""
        records = any(it["kind"] == CONTROLLER_REVISION.name for it in self.applies)
        return bool(self.costs or self.resizes or self.deletes or records)

    @property
    def writes_nothing(self) -> bool:
        """The cluster is as it should be."""
        return not (self.secrets or self.applies or self.resizes or self.costs or self.deletes or self.status)


def plan(application: ServeApplication, observed: Observed, installation: Installation, now: datetime) -> Plan:
    """Return what brings the application nearer to what is wanted."""
    if application.metadata.deletion_timestamp is not None:
        # Everything is owned by the resource: Kubernetes deletes it.
        return Plan()
    application = pause.not_suspended_yet(application, observed)
    owner = Owner.of(application)
    choice = revisions.choose(application, observed, installation, now)
    wanted_app = revisions.applied(choice.wanted, application) if choice.wanted else application
    clusters = incarnations.choose(wanted_app, observed, installation, choice, now)
    quiet = sleep.rest(application, observed, now)
    sides = _sides(application, wanted_app, observed, clusters, choice, quiet)
    crew = sides[0].crew
    routes = routing.routing(application, observed, clusters, choice, now)

    facts = facts_of(application, observed, clusters, crew, choice, quiet)
    deadline = timedelta(seconds=application.spec.rollout.progress_deadline_seconds)
    outcome = judge(facts, application.status.conditions, deadline, now)
    analysis = _analysis(application, clusters, choice)
    fault = _complaint(owner, analysis, observed, choice) or judgement.refusal(choice, observed, application)
    if not facts.frozen:
        choice = judgement.judged(choice, clusters, outcome, application, fault)
    wanted = _records(owner, observed, choice)
    wanted += _common(owner, application, installation, routes, clusters, choice)
    suspended = application.spec.suspend
    if not suspended:
        wanted += _serving(owner, application, observed, installation)
    if not suspended and not quiet.without_head:
        wanted += _cluster(owner, wanted_app, clusters)
    creates = [it for side in sides for it in side.crew.creates]
    applies = [it for it in [*wanted, *creates] if _differs(it, observed)]
    kept = {ref_of(it) for it in [*wanted, *creates]}
    push = _push(owner, observed, routes, installation)
    is_routed = push is None and not any(ref_of(it).name == names.routing(owner.name) for it in applies)
    new_status = status(application, observed, clusters, crew, choice, quiet, facts, outcome, now)
    changed = new_status != application.status
    decided = Plan(
        secrets=tuple(it for it in keys.secrets(owner, installation) if it["metadata"]["name"] not in observed.secrets),
        applies=tuple(applies),
        resizes=tuple(it for side in sides for it in side.crew.replicas)
        + _proxy_resize(owner, application, observed, applies),
        costs=tuple(it for side in sides for it in side.crew.costs),
        deletes=tuple(_pruned(owner, observed, kept, sides, clusters, suspended or quiet.without_head, is_routed, now)),
        links=()
        if suspended or quiet.without_head
        else _links(application, sides, _left(observed, clusters) if is_routed else (), installation),
        push=push,
        watches=_watches(owner, application, observed, installation),
        counted=_counted(owner, observed, installation) if analysis is not None else None,
        revision=(choice.wanted.name, choice.wanted.number) if choice.wanted else None,
        status=new_status if changed else None,
        events=events.changes(application.status, new_status) if changed else (),
        requeue_after=_next_look(application, observed, new_status, clusters, quiet, now),
    )
    return pause.only_watching(decided) if facts.frozen else decided


@dataclass(frozen=True, slots=True)
class _Side:
    """One Ray cluster that has to stay, and what is to become of it."""

    incarnation: int
    crew: Workers
    target: wire.Target | None
    """None leaves its controller with what it has."""


def _sides(
    application: ServeApplication,
    wanted_app: ServeApplication,
    observed: Observed,
    clusters: Clusters,
    choice: Choice,
    quiet: Rest,
) -> tuple[_Side, ...]:
    """Return the newest Ray cluster, and beside it the one that serves if that is another."""
    if application.spec.suspend:
        return (_Side(clusters.newest, Workers(targets=(), counts=()), None),)
    sides = [_side(wanted_app, observed, clusters, choice.wanted, quiet)]
    if clusters.serving != clusters.newest:
        old = revisions.applied(choice.stable, application) if choice.stable else application
        sides.append(_side(old, observed, clusters.of_serving(observed), choice.stable, quiet))
    if application.spec.rollout.paused and choice.is_new and sides[0].target is not None:
        frozen = sides[0].target.model_copy(update={"max_surge": 0, "max_unavailable": 0})
        sides[0] = replace(sides[0], target=frozen)
    return tuple(sides)


def _side(
    application: ServeApplication,
    observed: Observed,
    clusters: Clusters,
    wanted: revisions.Revision | None,
    quiet: Rest,
) -> _Side:
    name = application.metadata.name
    crew = workers(application, observed, clusters, wanted.name if wanted else "", asleep=quiet.asleep)
    if wanted is None:
        return _Side(clusters.newest, crew, None)
    code = revisions.code_of(wanted, observed, name)
    if wanted.code and code is None:
        # Its copy is gone: what the controller has is better than nothing.
        return _Side(clusters.newest, crew, None)
    target = target_from(
        application,
        revision=wanted.name,
        code=code,
        groups=crew.targets,
        drain_nodes=crew.drain,
        at_least=_in_force(application, observed, clusters),
        asleep=quiet.asleep,
    )
    if not chosen.has_replicas(application):
        target = target.model_copy(update={"ingress_replicas": None})
    view = observed.controller(clusters.newest).application(name)
    is_free = application.spec.rollout.max_unavailable is None
    if is_free and view is not None and surge.is_stuck(observed.pods, crew.targets, clusters.newest):
        target = surge.yielding(target, view.deployments)
    return _Side(clusters.newest, crew, target)


def _in_force(application: ServeApplication, observed: Observed, clusters: Clusters) -> dict[str, int]:
    """Return how many replicas serve in another Ray cluster, by deployment; nothing once requests have moved."""
    if clusters.serving == clusters.newest:
        return {}
    view = observed.controller(clusters.serving).application(application.metadata.name)
    told = view.deployments if view is not None else application.status.deployments
    return {it.name: it.desired for it in told if it.desired}


# ── objects ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _records(owner: Owner, observed: Observed, choice: Choice) -> list[Manifest]:
    """Return the revisions that are kept, each with its code."""
    records = [revision.record(owner, it) for it in choice.kept]
    codes = {it.code for it in choice.kept if it.code}
    copies = {code: observed.children.get(Ref(CONFIG_MAP, names.code(owner.name, code))) for code in codes}
    if isinstance(observed.code, wire.CodeBundle) and observed.code.digest in codes:
        fresh = [revision.code(owner, observed.code)]
        copies.pop(observed.code.digest)
    else:
        fresh = []
    return fresh + [it.manifest for it in copies.values() if it is not None] + records


def _common(
    owner: Owner,
    application: ServeApplication,
    installation: Installation,
    routing: wire.Routing,
    clusters: Clusters,
    choice: Choice,
) -> list[Manifest]:
    """Return what is there also while the application is suspended: nothing in it runs."""
    routing_map = proxy.routing_map(owner, routing)
    stable = choice.wanted if clusters.is_served and choice.wanted else choice.stable
    routing_map["metadata"]["annotations"] |= {
        INCARNATION_ANNOTATION: str(clusters.serving),
        LAST_ANNOTATION: str(clusters.last),
        STABLE_ANNOTATION: stable.name if stable else "",
    }
    policies = (
        network.policies(owner, installation.namespace, grpc=application.spec.proxy.grpc is not None)
        if application.spec.network_policy.enabled
        else []
    )
    return [*serviceaccount.accounts(owner), routing_map, *policies, proxy.service(owner, application)]


def _serving(
    owner: Owner, application: ServeApplication, observed: Observed, installation: Installation
) -> list[Manifest]:
    """Return what takes requests."""
    made_from = names.short_hash(proxy.inputs(application))
    existing = observed.children.get(Ref(DEPLOYMENT, names.proxy(owner.name)))
    kept_image = existing.annotation(head.IMAGE_ANNOTATION) if existing and existing.made_from == made_from else ""
    return [
        proxy.deployment(owner, application, kept_image or installation.runtime_image, made_from),
        proxy.budget(owner),
    ]


def _cluster(owner: Owner, application: ServeApplication, clusters: Clusters) -> list[Manifest]:
    """Return the Ray cluster, without the workers."""
    number = clusters.newest
    objects = [
        head.service(owner, number),
        head.stateful_set(owner, application, number, clusters.image, clusters.made_from),
        worker.budget(owner),
    ]
    if clusters.has_started:
        # Before any worker: objects are applied in this order.
        objects.insert(0, head.born_mark(owner, number))
    return objects


def _differs(wanted: Manifest, observed: Observed) -> bool:
    """Whether an object has to be applied.

    A pod template is compared by the digest of its inputs only, so that another version of the operator replaces no
    pods; everything else also field by field, so that a change by hand is undone.
    """
    child = observed.children.get(ref_of(wanted))
    if child is None:
        return True
    made_from = _made_from(wanted)
    if child.ref.kind in POD_BEARING:
        return child.made_from != made_from
    return child.made_from != made_from or not _covers(child.manifest, wanted)


def _made_from(wanted: Manifest) -> str:
    text: str = wanted["metadata"]["annotations"][Annotation.SPEC_HASH]
    return text


def _covers(live: Any, wanted: Any) -> bool:
    """Whether everything that is wanted stands in the live object, which may have more (defaults, status)."""
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(_covers(live.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return (
            isinstance(live, list)
            and len(live) == len(wanted)
            and all(_covers(have, want) for have, want in zip(live, wanted, strict=True))
        )
    return bool(live == wanted)


def _proxy_resize(
    owner: Owner, application: ServeApplication, observed: Observed, applies: Iterable[Manifest]
) -> tuple[tuple[Ref, int], ...]:
    """Return the resize of the proxies when their number is all that changed."""
    ref = Ref(DEPLOYMENT, names.proxy(owner.name))
    child = observed.children.get(ref)
    wanted = application.spec.proxy.replicas
    if application.spec.suspend or child is None or child.replicas == wanted or ref in map(ref_of, applies):
        return ()
    return ((ref, wanted),)


def _pruned(
    owner: Owner,
    observed: Observed,
    kept: set[Ref],
    sides: tuple[_Side, ...],
    clusters: Clusters,
    without_cluster: bool,
    is_routed: bool,
    now: datetime,
) -> Iterable[Child]:
    """Return children that nobody wants any more.

    ReplicaSets of a cluster that stays go only when they are empty. Another Ray cluster goes once every proxy sends its
    requests elsewhere, so not in the same breath in which the routing is decided, and once its controller has drained
    it: pods that all end at once would take deployments away from others that still work on a request.
    """
    finished = {ref for side in sides for ref in side.crew.finished}
    drained = {it for it in _left(observed, clusters) if _is_drained(it, owner.name, observed, now)}
    for ref, child in observed.children.items():
        if ref in kept:
            continue
        if without_cluster or child.incarnation == 0:
            yield child
        elif child.incarnation in clusters.kept:
            if ref in finished:
                yield child
        elif is_routed and child.incarnation in drained:
            yield child


def _left(observed: Observed, clusters: Clusters) -> tuple[int, ...]:
    """Return the Ray clusters that are there and need not stay."""
    return tuple(sorted({it.incarnation for it in observed.children.values()} - clusters.kept - {0}))


def _is_drained(number: int, application: str, observed: Observed, now: datetime) -> bool:
    """Whether no replica is left in a Ray cluster, or nobody is there who could drain them."""
    if incarnations.is_lost(observed.head_pod(number), now):
        # Its controller answers without a word: it waits for tables that never come.
        return True
    view = observed.controller(number)
    return not view.is_untried and (not view.is_reachable or view.application(application) is None)


# ── controllers and proxies ──────────────────────────────────────────────────────────────────────────────────────


def _links(
    application: ServeApplication, sides: tuple[_Side, ...], left: tuple[int, ...], installation: Installation
) -> tuple[Link, ...]:
    metadata = application.metadata
    key = installation.key(metadata.uid, Purpose.CONTROL)

    def link(incarnation: int, target: wire.Target | None, *, leaves: bool) -> Link:
        url = names.controller_url(metadata.name, metadata.namespace, incarnation)
        return Link(incarnation, url, key, target, leaves)

    stay = [link(it.incarnation, it.target, leaves=False) for it in sides]
    return tuple(sorted([*stay, *(link(it, None, leaves=True) for it in left)], key=lambda it: it.incarnation))


def _push(owner: Owner, observed: Observed, routing: wire.Routing, installation: Installation) -> Push | None:
    """Return the routing for proxies that run and have not taken this version."""
    late = tuple((boot, url) for boot, url in _proxies(observed) if observed.routed.get(boot) != routing.version)
    return Push(routing, installation.key(owner.uid, Purpose.PROXY), late) if late else None


def _proxies(observed: Observed) -> list[tuple[str, str]]:
    """Return boot and base URL of every proxy that runs."""
    return [
        (pod.boot, _admin_url(pod))
        for pod in observed.of_component(Component.PROXY)
        if pod.ip and pod.is_active and "proxy" in pod.started
    ]


def _counted(owner: Owner, observed: Observed, installation: Installation) -> Counted:
    return Counted(installation.key(owner.uid, Purpose.PROXY), tuple(url for _, url in _proxies(observed)))


def _analysis(application: ServeApplication, clusters: Clusters, choice: Choice) -> Analysis | None:
    """Return what a canary has to hold to, once it gets requests."""
    canary = application.spec.rollout.canary
    has_begun = clusters.stage is not None and clusters.stage.step > 0 and not clusters.is_served
    return canary.analysis if canary is not None and has_begun and choice.is_new else None


def _complaint(owner: Owner, analysis: Analysis | None, observed: Observed, choice: Choice) -> str:
    if analysis is None or choice.stable is None or choice.wanted is None:
        return ""
    return complaint(analysis, observed.figures, owner.name, choice.stable.name, choice.wanted.name)


def _watches(
    owner: Owner, application: ServeApplication, observed: Observed, installation: Installation
) -> tuple[Watch, ...]:
    """Return the proxies to listen to, those that are about to end included: they may keep requests."""
    if application.spec.scale_to_zero is None or application.spec.suspend:
        return ()
    key = installation.key(owner.uid, Purpose.PROXY)
    proxies = (it for it in observed.of_component(Component.PROXY) if sleep.listens(it))
    return tuple(Watch(it.boot, _admin_url(it), key) for it in proxies)


def _admin_url(proxy_pod: Pod) -> str:
    host = f"[{proxy_pod.ip}]" if ":" in proxy_pod.ip else proxy_pod.ip
    return f"http://{host}:{Port.PROXY_ADMIN}"


def _next_look(
    application: ServeApplication,
    observed: Observed,
    new: ServeApplicationStatus,
    clusters: Clusters,
    quiet: Rest,
    now: datetime,
) -> timedelta | None:
    """Return when to look again though nothing happens: at a deadline."""
    looks = [quiet.look_again] if quiet.look_again is not None else []
    if new.asleep_since is None and application.spec.scale_to_zero is not None:
        # It may have become Ready just now, and idle is counted from then.
        looks.append(timedelta(seconds=application.spec.scale_to_zero.idle_seconds + 1))
    if isinstance(observed.code, CodeMissing):
        looks.append(RETRY_CODE)
    reconciling = new.condition(ConditionType.RECONCILING.value)
    if clusters.stage is not None and clusters.stage.due is not None:
        looks.append(max(clusters.stage.due - now, timedelta()) + timedelta(milliseconds=100))
    if reconciling is not None:
        looks.append(timedelta(seconds=application.spec.rollout.progress_deadline_seconds + 1))
    pod = observed.head_pod(clusters.newest)
    if pod is not None and pod.deleting_since is not None:
        looks.append(max(pod.deleting_since + LOST_AFTER - now, timedelta()) + timedelta(seconds=1))
    return min(looks, default=None)
