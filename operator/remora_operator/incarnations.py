"""Incarnations: which Ray cluster to build up, and which one serves meanwhile.

Pure. A Ray cluster cannot be given another head, nor its head another image, without losing every replica. So it has a
number, and what would change it makes the next number beside it:

    1 serves ── head lost, or its inputs changed ──▶ 2 is built, 1 serves ── 2 is as wanted ──▶ 2 serves, 1 is deleted
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from remora_api import wire
from remora_api.meta import Container
from remora_api.v1alpha1 import ServeApplication
from remora_operator import names
from remora_operator.installation import Installation
from remora_operator.kinds import CONFIG_MAP, Ref
from remora_operator.observed import ControllerView, Observed, Pod
from remora_operator.resources import head

INCARNATION_ANNOTATION = "remora.dev/incarnation"
"""On the routing ConfigMap: the Ray cluster that proxies send requests to."""

LOST_AFTER = timedelta(seconds=30)
"""A head pod that is still there this long after its grace period sits on a node that no longer answers."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """The Ray clusters of an application, by number."""

    newest: int
    """The one that is brought to what the spec wants."""
    serving: int
    """The one that requests go to."""
    image: str
    """Of the newest."""
    made_from: str
    """Digest of the inputs of the newest."""
    has_started: bool
    """Ray's tables of the newest exist: it may have workers."""

    @property
    def kept(self) -> frozenset[int]:
        """Those that have to stay."""
        return frozenset((self.newest, self.serving))


def choose(
    application: ServeApplication, observed: Observed, installation: Installation, revision: str, now: datetime
) -> Clusters:
    """Return which Ray clusters there have to be."""
    heads = observed.heads()
    made_from = names.short_hash(head.inputs(application))
    recorded = application.status.ray.incarnation if application.status.ray else 0
    newest = max([*heads, recorded, 1])
    existing = heads.get(newest)
    # An existing head keeps the image it has: a later operator brings another default, and that replaces nothing.
    image = application.spec.image or installation.runtime_image
    if existing is not None and existing.made_from == made_from:
        image = existing.annotation(head.IMAGE_ANNOTATION) or image
    if is_lost(observed.head_pod(newest), now) or (existing is not None and existing.made_from != made_from):
        newest += 1
    serving = _recorded_serving(application, observed)
    if serving not in heads or is_as_wanted(observed.controller(newest), application, revision):
        serving = newest
    pod = observed.head_pod(newest)
    born = Ref(CONFIG_MAP, names.born(application.metadata.name, newest)) in observed.children
    return Clusters(newest, serving, image, made_from, born or (pod is not None and Container.RAY in pod.started))


def is_lost(pod: Pod | None, now: datetime) -> bool:
    """Ray's tables are gone for good, or on a node that is."""
    if pod is None:
        return False
    lost_store = any(end.container == Container.RAY and end.code == head.LOST_STORE for end in pod.exits)
    return lost_store or (pod.deleting_since is not None and now > pod.deleting_since + LOST_AFTER)


def is_as_wanted(view: ControllerView, application: ServeApplication, revision: str) -> bool:
    """The controller answers and every deployment of this revision has its replicas."""
    status = view.application(application.metadata.name) if view.is_reachable else None
    return (
        status is not None
        and status.revision == revision
        and status.build.state is wire.BuildState.BUILT
        and all(it.updated >= it.desired for it in status.deployments)
    )


def _recorded_serving(application: ServeApplication, observed: Observed) -> int:
    routing = observed.children.get(Ref(CONFIG_MAP, names.routing(application.metadata.name)))
    number = routing.annotation(INCARNATION_ANNOTATION) if routing else ""
    return int(number) if number.isdigit() else 0
