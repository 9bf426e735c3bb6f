"""Contacts: which controllers and proxies to talk to, and what each is to be told. Clients keep these up.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from remora_api import wire
from remora_api.keys import Purpose
from remora_api.meta import Component, Port
from remora_api.v1alpha1 import ServeApplication
from remora_operator import names, sleep
from remora_operator.installation import Installation
from remora_operator.observed import Observed, Pod
from remora_operator.resources.metadata import Owner


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


def links(
    application: ServeApplication,
    targets: Mapping[int, wire.Target | None],
    left: tuple[int, ...],
    installation: Installation,
    *,
    is_routed: bool,
) -> tuple[Link, ...]:
    """Return the controllers of Ray clusters that stay, each with its target, and of those that are left.

    Those are listened to all the time, and told to drain once every proxy sends its requests elsewhere.
    """
    metadata = application.metadata
    key = installation.key(metadata.uid, Purpose.CONTROL)

    def link(incarnation: int, target: wire.Target | None, *, leaves: bool) -> Link:
        url = names.controller_url(metadata.name, metadata.namespace, incarnation)
        return Link(incarnation, url, key, target, leaves)

    stay = [link(incarnation, target, leaves=False) for incarnation, target in targets.items()]
    return tuple(sorted([*stay, *(link(it, None, leaves=is_routed) for it in left)], key=lambda it: it.incarnation))


def push(owner: Owner, observed: Observed, routing: wire.Routing, installation: Installation) -> Push | None:
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


def counted(owner: Owner, observed: Observed, installation: Installation) -> Counted:
    """Return the proxies that count how two revisions do."""
    return Counted(installation.key(owner.uid, Purpose.PROXY), tuple(url for _, url in _proxies(observed)))


def watches(
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
