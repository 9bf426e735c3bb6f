"""Second step of a reconcile: from what is wanted and what is, to what to do. Nothing is done here.

Pure. The chain reads as an application comes up: Ray clusters, workers, target, routing, the objects for all that, and
the status. A plan holds only differences: in a steady state it is empty.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from remora_api import wire
from remora_api.keys import Purpose
from remora_api.meta import Annotation, Component, ConditionType, Port
from remora_api.target import hold_from, revision_inputs, target_from
from remora_api.v1alpha1 import ServeApplication, ServeApplicationStatus
from remora_operator import events, names, sleep
from remora_operator.incarnations import INCARNATION_ANNOTATION, LOST_AFTER, Clusters, choose
from remora_operator.installation import Installation
from remora_operator.kinds import CONFIG_MAP, DEPLOYMENT, POD_BEARING, Manifest, Ref, ref_of
from remora_operator.observed import Child, CodeMissing, Observed, Pod
from remora_operator.resources import head, keys, network, proxy, serviceaccount, worker
from remora_operator.resources.metadata import Owner
from remora_operator.sleep import Rest
from remora_operator.status import status
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
    status: ServeApplicationStatus | None = None
    """To write; None when the one that stands is right."""
    events: tuple[events.Event, ...] = ()
    requeue_after: timedelta | None = None

    @property
    def is_a_step(self) -> bool:
        """Once this is written there may be more to do, though nothing else happens: a cost, then the resize."""
        return bool(self.costs or self.resizes or self.deletes)

    @property
    def writes_nothing(self) -> bool:
        """The cluster is as it should be."""
        return not (self.secrets or self.applies or self.resizes or self.costs or self.deletes or self.status)


def plan(application: ServeApplication, observed: Observed, installation: Installation, now: datetime) -> Plan:
    """Return what brings the application nearer to what is wanted."""
    if application.metadata.deletion_timestamp is not None:
        # Everything is owned by the resource: Kubernetes deletes it.
        return Plan()
    owner = Owner.of(application)
    code = None if isinstance(observed.code, CodeMissing) else observed.code
    revision = _revision(application, observed, code)
    clusters = choose(application, observed, installation, revision, now)
    suspended = application.spec.suspend
    quiet = sleep.rest(application, observed, now)
    crew = (
        Workers(targets=(), counts=())
        if suspended
        else workers(application, observed, clusters, revision, asleep=quiet.asleep)
    )
    routing = _routing(application, observed, clusters, now)

    wanted = _common(owner, application, installation, routing, clusters)
    if not suspended:
        wanted += _serving(owner, application, observed, installation)
    if not suspended and not quiet.without_head:
        wanted += _cluster(owner, application, clusters)
    applies = [it for it in [*wanted, *crew.creates] if _differs(it, observed)]
    kept = {ref_of(it) for it in [*wanted, *crew.creates]}
    push = _push(owner, observed, routing, installation)
    is_routed = push is None and not any(ref_of(it).name == names.routing(owner.name) for it in applies)
    new_status = status(application, observed, clusters, crew, revision, quiet, now)
    changed = new_status != application.status
    return Plan(
        secrets=tuple(it for it in keys.secrets(owner, installation) if it["metadata"]["name"] not in observed.secrets),
        applies=tuple(applies),
        resizes=crew.replicas + _proxy_resize(owner, application, observed, applies),
        costs=crew.costs,
        deletes=tuple(_pruned(observed, kept, crew, clusters, suspended, quiet, is_routed)),
        links=()
        if suspended or quiet.without_head
        else _links(application, clusters, crew, installation, revision, code, quiet),
        push=push,
        watches=_watches(owner, application, observed, installation),
        status=new_status if changed else None,
        events=events.changes(application.status, new_status) if changed else (),
        requeue_after=_next_look(application, observed, new_status, clusters, quiet, now),
    )


def _revision(application: ServeApplication, observed: Observed, code: wire.CodeBundle | None) -> str:
    """Return the name of the wanted revision; empty while its code is missing."""
    if isinstance(observed.code, CodeMissing):
        return ""
    return f"{application.metadata.name}-{names.short_hash(revision_inputs(application, code))}"


# ── objects ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _common(
    owner: Owner, application: ServeApplication, installation: Installation, routing: wire.Routing, clusters: Clusters
) -> list[Manifest]:
    """Return what is there also while the application is suspended: nothing in it runs."""
    routing_map = proxy.routing_map(owner, routing)
    routing_map["metadata"]["annotations"][INCARNATION_ANNOTATION] = str(clusters.serving)
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
    observed: Observed,
    kept: set[Ref],
    crew: Workers,
    clusters: Clusters,
    suspended: bool,
    quiet: Rest,
    is_routed: bool,
) -> Iterable[Child]:
    """Return children that nobody wants any more.

    ReplicaSets of the newest cluster go only when they are empty. An older Ray cluster goes once every proxy sends its
    requests elsewhere, so not in the same breath in which the routing is decided.
    """
    for ref, child in observed.children.items():
        if ref in kept:
            continue
        if suspended or quiet.without_head or child.incarnation == 0:
            yield child
        elif child.incarnation in clusters.kept:
            if ref in crew.finished:
                yield child
        elif is_routed:
            yield child


# ── controllers and proxies ──────────────────────────────────────────────────────────────────────────────────────


def _links(
    application: ServeApplication,
    clusters: Clusters,
    crew: Workers,
    installation: Installation,
    revision: str,
    code: wire.CodeBundle | None,
    quiet: Rest,
) -> tuple[Link, ...]:
    metadata = application.metadata
    key = installation.key(metadata.uid, Purpose.CONTROL)
    target = None
    if revision:
        target = target_from(
            application,
            revision=revision,
            code=code,
            groups=crew.targets,
            drain_nodes=crew.drain,
            asleep=quiet.asleep,
        )
    return tuple(
        Link(
            number,
            names.controller_url(metadata.name, metadata.namespace, number),
            key,
            target if number == clusters.newest else None,
        )
        for number in sorted(clusters.kept)
    )


def _routing(application: ServeApplication, observed: Observed, clusters: Clusters, now: datetime) -> wire.Routing:
    """Return the routing; its version moves only when something in it does.

    Proxies are told of a Ray cluster before and after its time, with weight 0: they know its replicas when requests
    are to go there, and have those of the one before until they do.
    """
    metadata, spec = application.metadata, application.spec
    others = sorted({clusters.newest, *observed.heads()} - {clusters.serving})
    controllers = tuple(
        wire.ControllerEndpoint(
            url=names.controller_url(metadata.name, metadata.namespace, number),
            weight=100 if number == clusters.serving else 0,
        )
        for number in (clusters.serving, *others)
    )
    wanted = wire.ApplicationRouting(
        application=metadata.name,
        namespace=metadata.namespace,
        route_prefix=spec.route_prefix,
        controllers=controllers,
        request_timeout_s=spec.proxy.request_timeout_seconds,
        grpc_servicers=tuple(spec.proxy.grpc.servicer_functions) if spec.proxy.grpc else (),
        grpc_timeout_s=spec.proxy.request_timeout_seconds,
        hold=hold_from(spec.scale_to_zero) if spec.scale_to_zero else None,
    )
    standing = _standing_routing(metadata.name, observed)
    if standing is not None and standing.applications == (wanted,):
        return standing
    version = max(int(now.timestamp() * 1000), standing.version + 1 if standing else 0)
    return wire.Routing(version=version, applications=(wanted,))


def _standing_routing(application: str, observed: Observed) -> wire.Routing | None:
    child = observed.children.get(Ref(CONFIG_MAP, names.routing(application)))
    text = (child.manifest.get("data") or {}).get(proxy.ROUTING_FILE) if child else None
    try:
        return wire.Routing.model_validate(json.loads(text)) if text else None
    except (ValueError, ValidationError):
        return None


def _push(owner: Owner, observed: Observed, routing: wire.Routing, installation: Installation) -> Push | None:
    """Return the routing for proxies that run and have not taken this version."""
    late = tuple(
        (pod.boot, _admin_url(pod))
        for pod in observed.of_component(Component.PROXY)
        if pod.ip and pod.is_active and "proxy" in pod.started and observed.routed.get(pod.boot) != routing.version
    )
    return Push(routing, installation.key(owner.uid, Purpose.PROXY), late) if late else None


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
    if reconciling is not None:
        looks.append(timedelta(seconds=application.spec.rollout.progress_deadline_seconds + 1))
    pod = observed.head_pod(clusters.newest)
    if pod is not None and pod.deleting_since is not None:
        looks.append(max(pod.deleting_since + LOST_AFTER - now, timedelta()) + timedelta(seconds=1))
    return min(looks, default=None)
