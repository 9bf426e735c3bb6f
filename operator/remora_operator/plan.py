"""Second step of a reconcile: from what is wanted and what is, to what to do. Nothing is done here.

Pure. The chain reads as an application comes up: Ray clusters, workers, target, routing, the objects for all that, and
the status. A plan holds only differences: in a steady state it is empty.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from remora_api import wire
from remora_api.meta import ConditionType
from remora_api.target import target_from
from remora_api.v1alpha1 import Analysis, ServeApplication, ServeApplicationStatus
from remora_operator import (
    children,
    chosen,
    contacts,
    events,
    incarnations,
    judgement,
    names,
    pause,
    revisions,
    routing,
    sleep,
    surge,
)
from remora_operator.analysis import complaint
from remora_operator.contacts import Counted, Link, Push, Watch
from remora_operator.incarnations import LOST_AFTER, Clusters
from remora_operator.installation import Installation
from remora_operator.kinds import CONTROLLER_REVISION, DEPLOYMENT, Manifest, Ref, ref_of
from remora_operator.observed import Child, CodeMissing, Observed
from remora_operator.pruning import left, pruned
from remora_operator.resources import keys
from remora_operator.resources.metadata import Owner
from remora_operator.revisions import Choice
from remora_operator.sleep import Rest
from remora_operator.status import facts_of, status
from remora_operator.verdict import judge
from remora_operator.workers import Workers, workers

RETRY_CODE = timedelta(seconds=30)
"""How often a ConfigMap that is missing is looked for, besides being watched for."""


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

    @property
    def only_watching(self) -> Plan:
        """What is left of it while reconciling is paused: nothing changes the cluster, a controller or a proxy.

        Controllers and proxies are listened to as before; they keep what they were told last.
        """
        return replace(
            self,
            secrets=(),
            applies=(),
            resizes=(),
            costs=(),
            deletes=(),
            links=tuple(replace(it, target=None, leaves=False) for it in self.links),
            push=None,
        )


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
    wanted = children.records(owner, observed, choice)
    wanted += children.common(owner, application, installation, routes, clusters, choice)
    suspended = application.spec.suspend
    if not suspended:
        wanted += children.serving(owner, application, observed, installation)
        wanted += children.cluster(owner, wanted_app, clusters, without_head=quiet.without_head)
    creates = [it for side in sides for it in side.crew.creates]
    applies = [it for it in [*wanted, *creates] if children.differs(it, observed)]
    kept = {ref_of(it) for it in [*wanted, *creates]}
    push = contacts.push(owner, observed, routes, installation)
    is_routed = push is None and not any(ref_of(it).name == names.routing(owner.name) for it in applies)
    new_status = status(application, observed, clusters, crew, choice, quiet, facts, outcome, now)
    changed = new_status != application.status
    decided = Plan(
        secrets=tuple(it for it in keys.secrets(owner, installation) if it["metadata"]["name"] not in observed.secrets),
        applies=tuple(applies),
        resizes=tuple(it for side in sides for it in side.crew.replicas)
        + _proxy_resize(owner, application, observed, applies),
        costs=tuple(it for side in sides for it in side.crew.costs),
        deletes=tuple(
            pruned(
                owner.name,
                observed,
                kept,
                {ref for side in sides for ref in side.crew.finished},
                clusters,
                without_cluster=suspended or quiet.without_head,
                is_routed=is_routed,
                now=now,
            )
        ),
        links=()
        if suspended or quiet.without_head
        else contacts.links(
            application,
            {it.incarnation: it.target for it in sides if clusters.may_be_asked(it.incarnation)},
            left(observed, clusters),
            installation,
            is_routed=is_routed,
        ),
        push=push,
        watches=contacts.watches(owner, application, observed, installation),
        counted=contacts.counted(owner, observed, installation) if analysis is not None else None,
        revision=(choice.wanted.name, choice.wanted.number) if choice.wanted else None,
        status=new_status if changed else None,
        events=events.changes(application.status, new_status) if changed else (),
        requeue_after=_next_look(application, observed, new_status, clusters, quiet, now),
    )
    return decided.only_watching if facts.frozen else decided


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
        frozen = sides[0].target.but(max_surge=0, max_unavailable=0)
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
    if wanted is None or not clusters.is_born:
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
        make_room=crew.make_room,
        at_least=_in_force(application, observed, clusters),
        asleep=quiet.asleep,
    )
    if not chosen.has_replicas(application):
        target = target.but(ingress_replicas=None)
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


def _analysis(application: ServeApplication, clusters: Clusters, choice: Choice) -> Analysis | None:
    """Return what a canary has to hold to, once it gets requests."""
    canary = application.spec.rollout.canary
    has_begun = clusters.stage is not None and clusters.stage.step > 0 and not clusters.is_served
    return canary.analysis if canary is not None and has_begun and choice.is_new else None


def _complaint(owner: Owner, analysis: Analysis | None, observed: Observed, choice: Choice) -> str:
    if analysis is None or choice.stable is None or choice.wanted is None:
        return ""
    return complaint(analysis, observed.figures, owner.name, choice.stable.name, choice.wanted.name)


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
