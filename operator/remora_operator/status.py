"""Status: what the resource's `status` says. The one function that computes it.

Pure. What is not known for the moment keeps its last value: a controller that restarts blanks nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from remora_api import wire
from remora_api.meta import Component, Port
from remora_api.v1alpha1 import (
    DeploymentStatus,
    ProxyStatus,
    RayStatus,
    ServeApplication,
    ServeApplicationStatus,
    WorkerGroupStatus,
)
from remora_operator import names
from remora_operator.advice import advice
from remora_operator.chosen import has_replicas
from remora_operator.conditions import conditions
from remora_operator.facts import Facts
from remora_operator.graph_status import graph_status
from remora_operator.incarnations import Clusters
from remora_operator.kinds import DEPLOYMENT, SERVICE, Ref
from remora_operator.observed import Child, CodeMissing, Observed, Pod
from remora_operator.pause import is_paused
from remora_operator.resources import proxy
from remora_operator.resources.metadata import Owner, selector
from remora_operator.revision_status import held, promoting, revision_statuses, rolled_back, rollout_status
from remora_operator.revisions import Choice
from remora_operator.sleep import Rest
from remora_operator.verdict import Verdict
from remora_operator.workers import Workers

MAX_REASON = 300
SPEC_REPLICAS = "spec.replicas"
"""What a controller gives as the reason of a number that comes from there."""


def status(
    application: ServeApplication,
    observed: Observed,
    clusters: Clusters,
    workers: Workers,
    choice: Choice,
    quiet: Rest,
    facts: Facts,
    outcome: Verdict,
    now: datetime,
) -> ServeApplicationStatus:
    """Return the status of an application as it is now."""
    slept = quiet.asleep or application.status.asleep_since is not None
    if not slept and facts.was_ready and observed.controller(clusters.newest).is_untried and not facts.is_moving:
        # An operator that has just started waits for the first word before it says anything else.
        return application.status
    owner, before = Owner.of(application), application.status
    serving = facts.serving
    told = next((it for it in (facts.application, serving) if it is not None and it.deployments), None)
    view = observed.controller(clusters.newest)
    deployments = _deployments(told, before, now) if told else before.deployments
    service = observed.children.get(Ref(SERVICE, names.service(owner.name)))
    stable = choice.wanted if clusters.is_served and choice.wanted else choice.stable
    return ServeApplicationStatus(
        observed_generation=facts.generation,
        conditions=conditions(facts, outcome, before.conditions, now),
        ready="0/0"
        if facts.suspended
        else f"{sum(it.ready for it in deployments)}/{sum(it.desired for it in deployments)}",
        asleep_since=quiet.since,
        url=proxy.url(owner, application, service.manifest.get("status") or {} if service else {}),
        replicas=_ingress_replicas(serving) if serving else (0 if facts.suspended else before.replicas),
        replicas_ignored=_ignored(application, told) if told else before.replicas_ignored,
        ignored=_idle(facts.application, before.ignored),
        selector=",".join(f"{key}={value}" for key, value in selector(owner, Component.WORKER).items()),
        current_revision=stable.name if stable else before.current_revision,
        updated_revision=choice.updated.name if choice.updated else before.updated_revision,
        rollout=rollout_status(clusters, choice, outcome),
        revisions=revision_statuses(observed, clusters, choice, application.metadata.name),
        deployments=() if facts.suspended else deployments,
        graph=() if facts.suspended else graph_status(application.spec.graph, deployments),
        workers=tuple(
            WorkerGroupStatus(name=it.name, ready=it.ready, desired=it.desired, demand=it.demand)
            for it in workers.counts
        ),
        proxy=ProxyStatus(ready=facts.proxies_ready, desired=facts.proxies_desired),
        ray=RayStatus(
            version=view.status.ray_version if view.status else (before.ray.version if before.ray else ""),
            address=f"{names.head_host(owner.name, owner.namespace, clusters.newest)}:{Port.GCS}",
            incarnation=clusters.newest,
        ),
    )


def facts_of(
    application: ServeApplication,
    observed: Observed,
    clusters: Clusters,
    workers: Workers,
    choice: Choice,
    quiet: Rest,
) -> Facts:
    """Return what the conditions are made from."""
    name, generation = application.metadata.name, application.metadata.generation
    ready = application.status.condition("Ready")
    head = observed.head_pod(clusters.newest)
    view = observed.controller(clusters.newest)
    proxies = observed.of_component(Component.PROXY)
    worker_pods = [it for it in observed.of_component(Component.WORKER) if it.incarnation == clusters.newest]
    worker_sets = [it for it in observed.worker_sets() if it.incarnation == clusters.newest]
    proxy_set = observed.children.get(Ref(DEPLOYMENT, names.proxy(name)))
    since = [it.ready_since for it in observed.pods if it.ready_since]
    return Facts(
        name=name,
        generation=generation,
        revision=choice.wanted.name if choice.wanted else "",
        suspended=application.spec.suspend,
        frozen=is_paused(application),
        asleep=quiet.asleep,
        code_problem=observed.code.message if isinstance(observed.code, CodeMissing) and not choice.is_pinned else "",
        head_ready=head is not None and head.is_ready,
        head_trouble=_trouble([head]) if head else "",
        head_missing="" if head else _no_head(application, observed, clusters),
        controller_reachable=view.is_reachable,
        controller_error=view.error,
        application=view.application(name),
        serving=observed.controller(clusters.serving).application(name),
        is_moving=clusters.serving != clusters.newest,
        workers=workers.counts,
        worker_trouble=_trouble(worker_pods, worker_sets),
        unplaced=workers.unplaced,
        unsuited=workers.unsuited,
        proxies_ready=sum(it.is_ready and it.is_active for it in proxies),
        proxies_desired=0 if application.spec.suspend else application.spec.proxy.replicas,
        proxy_trouble=_trouble(proxies, [proxy_set] if proxy_set else []),
        last_progress=max(since, default=None),
        was_ready=ready is not None and ready.status.value == "True" and ready.observed_generation == generation,
        began=choice.wanted.began if choice.wanted else None,
        pin_problem=choice.problem,
        rolled_back=rolled_back(choice),
        held=held(choice),
        promoting=promoting(clusters, choice),
        is_paused=application.spec.rollout.paused,
    )


def _idle(told: wire.ApplicationStatus | None, before: str) -> str:
    """Return what of the spec has no effect, as the controller says once it has built the code."""
    return told.build.message[:1024] if told is not None and told.build.state is wire.BuildState.BUILT else before


def _deployments(
    status: wire.ApplicationStatus, before: ServeApplicationStatus, now: datetime
) -> tuple[DeploymentStatus, ...]:
    known = {it.name: it for it in before.deployments}
    return tuple(
        DeploymentStatus(
            name=it.name,
            ready=it.ready,
            desired=it.desired,
            reason=it.reason[:MAX_REASON],
            autoscaled=it.autoscaled,
            last_scale_time=_scaled_at(it, known.get(it.name), now),
            version=it.version,
            message=it.message[:1024],
        )
        for it in status.deployments
    )


def _ignored(application: ServeApplication, told: wire.ApplicationStatus) -> str:
    """Say why the number in spec.replicas is not followed; nothing about the default, which nobody chose."""
    wanted = application.spec.replicas
    ingress = next((it for it in told.deployments if it.ingress), None)
    if ingress is None or wanted == ingress.desired or ingress.reason in ("", SPEC_REPLICAS):
        return ""
    if not has_replicas(application):
        return ""
    ignored = f"spec.replicas {wanted} is not followed"
    if ingress.autoscaled:
        return f"{ignored}: deployment {ingress.name} is autoscaled; change its autoscaling"
    if any(it.name == ingress.name and it.replicas is not None for it in application.spec.deployments):
        return f"{ignored}: spec.deployments gives {ingress.name} {ingress.desired} replicas; remove them there"
    return ""


def _scaled_at(deployment: wire.DeploymentStatus, before: DeploymentStatus | None, now: datetime) -> datetime | None:
    if not deployment.autoscaled or before is None:
        return None
    return before.last_scale_time if before.desired == deployment.desired else now.replace(microsecond=0)


def _ingress_replicas(status: wire.ApplicationStatus) -> int:
    return sum(it.total for it in status.deployments if it.ingress)


def _trouble(pods: Sequence[Pod], sets: Iterable[Child] = ()) -> str:
    """Return the first thing that is wrong with a pod, or with a set that should make pods, with its name."""
    found = [f"pod {it.name}: {it.trouble}{advice(it.trouble, it.component)}" for it in pods if _is_in_trouble(it)]
    found += [
        f"{it.ref.kind.name} {it.ref.name}: {it.trouble}{advice(it.trouble, Component.WORKER)}"
        for it in sets
        if it.trouble
    ]
    return next(iter(found), "")


def _is_in_trouble(pod: Pod) -> bool:
    return bool(pod.trouble) and pod.is_active


def _no_head(application: ServeApplication, observed: Observed, clusters: Clusters) -> str:
    """Say why the head's set makes no pod, or where to look if nobody has said."""
    name = names.head(application.metadata.name, clusters.newest)
    head = observed.heads().get(clusters.newest)
    if head is None or application.spec.suspend:
        return ""
    if head.trouble:
        return f"StatefulSet {name}: {head.trouble}{advice(head.trouble, Component.HEAD)}"
    return f"StatefulSet {name} has no pod: `kubectl describe statefulset {name}` says why"
