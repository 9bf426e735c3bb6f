"""Routing: which Ray clusters the proxies send requests to, in which shares, and which requests choose for themselves.

Pure. Proxies are told of a Ray cluster before and after its time, with weight 0: they know its replicas when requests
are to go there, and have those of the one before until they do.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from remora_api import wire
from remora_api.message import Unreadable
from remora_api.target import hold_from
from remora_api.v1alpha1 import BlueGreen, RevisionRole, ServeApplication, Strategy
from remora_operator import names
from remora_operator.incarnations import Clusters
from remora_operator.kinds import CONFIG_MAP, SERVICE, Ref
from remora_operator.observed import Observed
from remora_operator.resources import proxy
from remora_operator.revisions import Choice


def routing(
    application: ServeApplication, observed: Observed, clusters: Clusters, choice: Choice, now: datetime
) -> wire.Routing:
    """Return the routing; its version moves only when something in it does."""
    metadata, spec = application.metadata, application.spec
    others = sorted(
        it for it in {clusters.newest, *observed.heads()} - {clusters.serving} if _has_name(metadata.name, it, observed)
    )
    names_of = _revisions(clusters, choice)
    wanted = wire.ApplicationRouting(
        application=metadata.name,
        namespace=metadata.namespace,
        route_prefix=spec.route_prefix,
        controllers=tuple(
            wire.ControllerEndpoint(
                url=names.controller_url(metadata.name, metadata.namespace, number),
                weight=clusters.weights.get(number, 0),
                revision=names_of.get(number, ""),
            )
            for number in (clusters.serving, *others)
        ),
        request_timeout_s=spec.proxy.request_timeout_seconds,
        grpc_servicers=tuple(spec.proxy.grpc.servicer_functions) if spec.proxy.grpc else (),
        grpc_timeout_s=spec.proxy.request_timeout_seconds,
        hold=hold_from(spec.scale_to_zero) if spec.scale_to_zero else None,
        rules=_rules(application, clusters, names_of),
        sticky_cookie=spec.traffic.sticky.cookie if names_of and spec.traffic.sticky else "",
        mirror=_mirror(application, clusters, names_of),
    )
    applications = (wanted, *_preview(application, wanted, clusters, names_of))
    standing = _standing(metadata.name, observed)
    if standing is not None and standing.applications == applications:
        return standing
    version = max(int(now.timestamp() * 1000), standing.version + 1 if standing else 0)
    return wire.Routing(version=version, applications=applications)


def _has_name(application: str, incarnation: int, observed: Observed) -> bool:
    """Whether a Ray cluster's Service is there: who asks for a name before that is told for a while that it is none."""
    return Ref(SERVICE, names.head(application, incarnation)) in observed.children


def _preview(
    application: ServeApplication, whole: wire.ApplicationRouting, clusters: Clusters, names_of: dict[int, str]
) -> Iterator[wire.ApplicationRouting]:
    """Yield the application as it is found below the preview's path: there is but the new revision."""
    rollout = application.spec.rollout
    path = rollout.blue_green.preview_path if rollout.blue_green else None
    if not names_of or path is None:
        return
    newest = names_of[clusters.newest]
    endpoint = next((it for it in whole.controllers if it.revision == newest), None)
    if endpoint is None:
        return
    yield whole.but(
        route_prefix=path,
        controllers=(endpoint.but(weight=100),),
        hold=None,
        rules=(),
        sticky_cookie="",
        mirror=None,
    )


def _revisions(clusters: Clusters, choice: Choice) -> dict[int, str]:
    """Return the revision of each Ray cluster while there are two of them."""
    if clusters.newest == clusters.serving or not choice.is_new or choice.wanted is None or choice.stable is None:
        return {}
    return {clusters.serving: choice.stable.name, clusters.newest: choice.wanted.name}


def _rules(application: ServeApplication, clusters: Clusters, names_of: dict[int, str]) -> tuple[wire.RouteRule, ...]:
    if not names_of:
        return ()
    roles = {RevisionRole.CURRENT: names_of[clusters.serving], RevisionRole.UPDATED: names_of[clusters.newest]}
    rules = [
        wire.RouteRule(revision=roles[it.to], header=(it.header or "").lower(), cookie=it.cookie or "", value=it.value)
        for it in application.spec.traffic.rules
    ]
    rollout = application.spec.rollout
    if rollout.strategy is Strategy.BLUE_GREEN:
        header = (rollout.blue_green or BlueGreen()).preview_header.lower()
        rules.append(wire.RouteRule(revision=roles[RevisionRole.UPDATED], header=header))
    return tuple(rules)


def _mirror(application: ServeApplication, clusters: Clusters, names_of: dict[int, str]) -> wire.Mirror | None:
    """Return what is repeated, once the new revision is up."""
    mirror = application.spec.traffic.mirror
    if mirror is None or not names_of or clusters.stage is None or clusters.stage.step == 0:
        return None
    return wire.Mirror(revision=names_of[clusters.newest], percent=mirror.percent)


def _standing(application: str, observed: Observed) -> wire.Routing | None:
    child = observed.children.get(Ref(CONFIG_MAP, names.routing(application)))
    text = (child.manifest.get("data") or {}).get(proxy.ROUTING_FILE) if child else None
    try:
        return wire.Routing.from_json(text) if text else None
    except Unreadable:
        return None
