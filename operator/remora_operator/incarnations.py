"""Incarnations: which Ray cluster to build up, and which one serves meanwhile.

Pure. A Ray cluster cannot be given another head, nor its head another image, without losing every replica. So it has a
number, and what would change it makes the next number beside it:

    1 serves ── head lost, or its inputs changed ──▶ 2 is built, 1 serves ── 2 is as wanted ──▶ 2 serves, 1 is deleted

A Canary or BlueGreen rollout does the same whatever changed, and moves requests from 1 to 2 step by step. A rollout
that is given up leaves 1 as it was. No number is used twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from remora_api import wire
from remora_api.meta import Container
from remora_api.v1alpha1 import ServeApplication, Strategy
from remora_operator import names, progress
from remora_operator.installation import Installation
from remora_operator.kinds import CONFIG_MAP, Ref
from remora_operator.observed import ControllerView, Observed, Pod
from remora_operator.progress import Stage
from remora_operator.resources import head
from remora_operator.revisions import Choice, promoted_to

INCARNATION_ANNOTATION = "remora.dev/incarnation"
"""On the routing ConfigMap: the Ray cluster that proxies send requests to."""
LAST_ANNOTATION = "remora.dev/last-incarnation"
"""On the routing ConfigMap: the highest number that was ever used."""

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
    """Ray's tables of the newest exist."""
    is_born: bool
    """That is written down, for whoever would start its head anew: it may have replicas."""
    last: int = 0
    """The highest number that was ever used."""
    stage: Stage | None = None
    """How far requests have moved from the serving one to the newest, while those are two."""
    is_served: bool = False
    """The newest is as wanted, and has all requests."""

    @property
    def kept(self) -> frozenset[int]:
        """Those that have to stay."""
        return frozenset((self.newest, self.serving))

    @property
    def is_only(self) -> bool:
        """Nothing serves beside the newest, or nothing at all does."""
        return self.newest == self.serving

    def may_be_asked(self, incarnation: int) -> bool:
        """Whether a controller may be there by now.

        To ask sooner would be worse than useless: a name server that does not know its Service yet says so for a while.
        """
        return self.has_started or incarnation != self.newest

    @property
    def weights(self) -> dict[int, int]:
        """Return the share of the requests, in a hundred, of each that has to stay."""
        moved = self.stage.weight if self.stage is not None and self.newest != self.serving else 0
        return {self.newest: moved} | {self.serving: 100 - moved}

    def of_serving(self, observed: Observed) -> Clusters:
        """Return the clusters as they are to whoever looks after the one that serves beside the newest."""
        child = observed.heads()[self.serving]
        image = child.annotation(head.IMAGE_ANNOTATION)
        return Clusters(self.serving, self.serving, image, child.made_from, has_started=True, is_born=True)


def choose(
    application: ServeApplication, observed: Observed, installation: Installation, choice: Choice, now: datetime
) -> Clusters:
    """Return which Ray clusters there have to be. `application` is as the wanted revision has it."""
    heads = observed.heads()
    made_from = names.short_hash(head.inputs(application))
    recorded = application.status.ray.incarnation if application.status.ray else 0
    serving = _recorded(application, observed, INCARNATION_ANNOTATION)
    last = max([*heads, recorded, _recorded(application, observed, LAST_ANNOTATION), 1])

    def fits(number: int) -> bool:
        return heads[number].made_from == made_from and not is_lost(observed.head_pod(number), now)

    rollout, newest = application.spec.rollout, last
    if heads:
        # Beside another revision only if that is asked for: else in the same Ray cluster, if its head may stay.
        stays = rollout.strategy is Strategy.ROLLING or not choice.is_new
        younger = [number for number in heads if number > serving and fits(number)]
        newest = serving if stays and serving in heads and fits(serving) else max(younger, default=last + 1)
    existing = heads.get(newest)
    image = choice.wanted.image if choice.wanted else application.spec.image or installation.runtime_image
    if existing is not None:
        image = existing.annotation(head.IMAGE_ANNOTATION) or image
    is_ready = is_as_wanted(observed.controller(newest), application, choice.wanted.name if choice.wanted else "")
    stage = None
    if serving not in heads:
        serving = newest
    elif serving != newest and choice.wanted is not None:
        stage = progress.advance(
            choice.wanted,
            progress.steps_of(rollout) if choice.is_new else (),
            is_ready=is_ready,
            is_paused=rollout.paused and choice.is_new,
            promoted_to=promoted_to(application, choice.wanted),
            now=now,
        )
        # The old one may be lost by the time: then there is nothing to compare with.
        if stage.is_done and is_ready:
            serving = newest
    pod = observed.head_pod(newest)
    born = Ref(CONFIG_MAP, names.born(application.metadata.name, newest)) in observed.children
    started = born or (pod is not None and Container.RAY in pod.started)
    last = max(last, newest)
    return Clusters(newest, serving, image, made_from, started, born, last, stage, is_ready and serving == newest)


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
        and all(it.updated >= min(it.required, it.desired) for it in status.deployments)
    )


def _recorded(application: ServeApplication, observed: Observed, annotation: str) -> int:
    routing = observed.children.get(Ref(CONFIG_MAP, names.routing(application.metadata.name)))
    number = routing.annotation(annotation) if routing else ""
    return int(number) if number.isdigit() else 0
