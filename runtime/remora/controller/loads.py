"""Loads: what routers and replicas report, summed up for the autoscaler.

Routers (of proxies, and of handles in replicas) count the requests that wait and those they have sent; replicas count
what they work on. Both know of the same ongoing requests, so the larger number holds: neither a proxy that cannot reach
the controller nor a replica too busy to report makes a deployment look idle. Whoever reports no more is forgotten
after a few periods, and its requests with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from remora.controller.autoscaler import Sample
from remora_api.wire import DeploymentLoad, LoadReport

MISSED = 3
"""Reports that may be missing before their sender counts as gone."""
LEAST_S = 3.0
MAX_NEXT_S = 60.0

Name = tuple[str, str]
"""Application and deployment."""


@dataclass(frozen=True, slots=True)
class _Reporter:
    until: float
    deployments: Mapping[Name, DeploymentLoad]
    replica: Name | None
    ongoing: int


class Loads:
    """The latest report of everyone."""

    def __init__(self) -> None:
        self._reporters: dict[str, _Reporter] = {}
        self._arrived: dict[Name, int] = {}

    def take(self, report: LoadReport, now: float) -> bool:
        """Take in a report; True if requests have come since the last one of its sender."""
        before = self._reporters.get(report.reporter)
        known = before.deployments if before is not None else {}
        deployments = {(it.application, it.deployment): it for it in report.deployments}
        has_news = False
        for name, load in deployments.items():
            was = known.get(name)
            came = load.arrived - was.arrived if was is not None else load.arrived
            if came > 0:
                has_news = True
                self._arrived[name] = self._arrived.get(name, 0) + came
        self._reporters[report.reporter] = _Reporter(
            until=now + max(LEAST_S, MISSED * min(report.next_s, MAX_NEXT_S)),
            deployments=deployments,
            replica=_deployment_of(report.replica),
            ongoing=report.replica_ongoing,
        )
        return has_news

    def sample(self, name: Name, now: float) -> Sample | None:
        """Return what is known of a deployment, and begin to count anew what arrives; None while nobody reports it."""
        self._reporters = {who: it for who, it in self._reporters.items() if it.until > now}
        everyone = self._reporters.values()
        routed = [it.deployments[name] for it in everyone if name in it.deployments]
        own = [it.ongoing for it in everyone if it.replica == name]
        if not routed and not own:
            return None
        return Sample(
            at=now,
            queued=sum(it.queued for it in routed),
            ongoing=max(sum(it.ongoing for it in routed), sum(own)),
            arrived=self._arrived.pop(name, 0),
        )

    def keep(self, names: Iterable[Name]) -> None:
        """Forget arrivals at deployments that are not autoscaled any more."""
        kept = set(names)
        self._arrived = {name: count for name, count in self._arrived.items() if name in kept}


def _deployment_of(replica: str) -> Name | None:
    application, _, rest = replica.partition("#")
    return (application, rest.partition("#")[0]) if rest else None
