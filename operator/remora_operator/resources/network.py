"""NetworkPolicies: nothing reaches an application's pods but what they need, port by port.

Pure. What goes out is not restricted, as user code calls out. Policies add up: to let Prometheus in, write one more.

===========  =====================================================================
to           from, at
===========  =====================================================================
head         head, workers: Ray; workers, proxies, the operator: the controller
workers      head, workers: Ray; workers, proxies: replicas
proxies      everyone: requests; the operator: routing
===========  =====================================================================
"""

from __future__ import annotations

from remora_api.meta import Component, Port
from remora_operator import names
from remora_operator.kinds import NETWORK_POLICY, Manifest
from remora_operator.resources.metadata import Owner, child, selector

OPERATOR_LABELS = {"app.kubernetes.io/name": "remora", "app.kubernetes.io/component": "operator"}
"""Of the operator's pods; the chart sets them."""

_RAY: tuple[tuple[int, int], ...] = ((Port.GCS, Port.RAY_METRICS), Port.RAY_WORKERS)


def policies(owner: Owner, operator_namespace: str, *, grpc: bool = False) -> list[Manifest]:
    """Return one policy for each kind of pod."""
    head, worker, proxy = (_pods(owner, component) for component in (Component.HEAD, Component.WORKER, Component.PROXY))
    operator = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": operator_namespace}},
        "podSelector": {"matchLabels": OPERATOR_LABELS},
    }
    return [
        _policy(
            owner,
            Component.HEAD,
            _rule([head, worker], *_RAY),
            _rule([head, worker, proxy, operator], (Port.CONTROLLER, Port.CONTROLLER)),
        ),
        _policy(
            owner,
            Component.WORKER,
            _rule([head, worker], *_RAY),
            _rule([worker, proxy], Port.REPLICAS),
        ),
        _policy(
            owner,
            Component.PROXY,
            _rule([], (Port.HTTP, Port.HTTP), *([(Port.GRPC, Port.GRPC)] if grpc else [])),
            _rule([operator], (Port.PROXY_ADMIN, Port.PROXY_ADMIN)),
        ),
    ]


def _policy(owner: Owner, component: Component, *rules: Manifest) -> Manifest:
    body: Manifest = {
        "spec": {
            "podSelector": {"matchLabels": selector(owner, component)},
            "policyTypes": ["Ingress"],
            "ingress": list(rules),
        }
    }
    return child(NETWORK_POLICY, names.account(owner.name, component), owner, body, component=component)


def _pods(owner: Owner, component: Component) -> Manifest:
    return {"podSelector": {"matchLabels": selector(owner, component)}}


def _rule(peers: list[Manifest], *ranges: tuple[int, int]) -> Manifest:
    """Let peers in at these ports; no peers means everyone."""
    ports: list[Manifest] = [
        {"protocol": "TCP", "port": first} | ({"endPort": last} if last > first else {}) for first, last in ranges
    ]
    return {"ports": ports} | ({"from": peers} if peers else {})
