"""Sleep: whether an application with `scaleToZero` has to be at zero now.

Pure. The proxies say what they have to do; whether an application sleeps stands in its status, so that another operator
goes on from there.

    awake ── ready for a while, and every proxy idle for as long ──▶ asleep ── a proxy keeps a request, or the spec
    changed ──▶ awake
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from remora_api import wire
from remora_api.meta import Component, ConditionType
from remora_api.v1alpha1 import HeadAtZero, ServeApplication
from remora_operator.observed import Observed, Pod


@dataclass(frozen=True, slots=True)
class Rest:
    """What is to be."""

    since: datetime | None = None
    """None while awake."""
    without_head: bool = False
    """The head is to go, or has gone, too."""
    look_again: timedelta | None = None
    """When time alone may change the answer."""

    @property
    def asleep(self) -> bool:
        """Whether there are to be no replicas."""
        return self.since is not None


def rest(application: ServeApplication, observed: Observed, now: datetime) -> Rest:
    """Return whether the application sleeps."""
    wanted = application.spec.scale_to_zero
    if wanted is None or application.spec.suspend:
        return Rest()
    name, since = application.metadata.name, application.status.asleep_since
    said = {boot: _of(name, it) for boot, it in observed.activity.items()}
    if since is not None:
        is_new = application.status.observed_generation != application.metadata.generation
        if is_new or wire.Activity.WAITING in said.values():
            # A spec that was never served has to show that it can be.
            return Rest()
        workers = any(it.is_active for it in observed.of_component(Component.WORKER))
        return Rest(since, without_head=wanted.head is HeadAtZero.ZERO and not workers)
    ready = application.status.condition(ConditionType.READY.value)
    if ready is None or ready.status.value != "True" or ready.observed_generation != application.metadata.generation:
        return Rest()
    awake_for = now - ready.last_transition_time
    idle = timedelta(seconds=wanted.idle_seconds)
    if awake_for < idle:
        return Rest(look_again=idle - awake_for + timedelta(seconds=1))
    proxies = [it for it in observed.of_component(Component.PROXY) if listens(it)]
    if not proxies or any(said.get(it.boot) is not wire.Activity.IDLE for it in proxies):
        return Rest()
    return Rest(now.replace(microsecond=0))


def listens(pod: Pod) -> bool:
    """Whether a proxy may have requests: also one that is being deleted, until it has ended."""
    return bool(pod.ip) and pod.phase not in ("Succeeded", "Failed") and "proxy" in pod.started


def _of(application: str, said: wire.ProxyActivity) -> wire.Activity | None:
    return next((it.activity for it in said.applications if it.application == application), None)
