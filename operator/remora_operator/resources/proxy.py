"""The proxies of one application: Deployment, the Service in front of them, and what they start with.

Pure. The operator pushes routing to each proxy; the ConfigMap made here is for proxies that start while it is away.
"""

from __future__ import annotations

from typing import Any

from remora_api import wire
from remora_api.digests import digest
from remora_api.keys import Purpose
from remora_api.meta import Component, Port
from remora_api.v1alpha1 import ServeApplication, ServiceType
from remora_operator import names
from remora_operator.kinds import BUDGET, CONFIG_MAP, DEPLOYMENT, SERVICE, Manifest
from remora_operator.resources import pod
from remora_operator.resources.head import IMAGE_ANNOTATION
from remora_operator.resources.metadata import Owner, child, labels, selector

SERVICE_PORT = 80
TLS_SERVICE_PORT = 443
TLS_FOLDER = "/var/run/remora/tls"
ROUTING_FOLDER = "/var/run/remora/routing"
ROUTING_FILE = "routing.json"
DRAIN_S = 75
"""How long requests that a leaving proxy has begun may take; longer ones are cut."""
GRACE_S = DRAIN_S + 15
"""And time before that for the endpoint to disappear everywhere."""


def inputs(application: ServeApplication) -> dict[str, Any]:
    """Return the part of the spec that proxy pods are made from, without their number and image.

    The image is Remora's own: proxies hold no user code. A later one alone replaces no pod.
    """
    spec = application.spec
    return {
        "pull": [spec.image_pull_policy, [it.name for it in spec.image_pull_secrets]],
        "resources": spec.proxy.resources.root,
        "podTemplate": spec.proxy.pod_template.model_dump(mode="json", by_alias=True)
        if spec.proxy.pod_template
        else None,
        # Absent where it is off, so that an operator that knows of gRPC replaces no proxy that was there before.
        **({"grpc": True} if spec.proxy.grpc else {}),
        **({"tls": spec.proxy.tls.secret_name} if spec.proxy.tls else {}),
        **({"tracing": spec.tracing.model_dump(mode="json")} if spec.tracing else {}),
    }


def deployment(owner: Owner, application: ServeApplication, image: str, made_from: str) -> Manifest:
    """Return the Deployment of the proxies."""
    proxy = application.spec.proxy
    container = pod.container(
        "proxy",
        image,
        ["proxy"],
        application=application,
        env=[
            pod.field("POD_NAME", "metadata.name"),
            pod.field("POD_IP", "status.podIP"),
            pod.field("NODE_NAME", "spec.nodeName"),
            pod.value("REMORA_DATA_KEY_FILE", pod.key_file(Purpose.DATA)),
            pod.value("REMORA_PROXY_KEY_FILE", pod.key_file(Purpose.PROXY)),
            pod.value("REMORA_DRAIN_S", str(DRAIN_S)),
            pod.value("REMORA_ROUTING_FILE", f"{ROUTING_FOLDER}/{ROUTING_FILE}"),
            *([pod.value("REMORA_GRPC_PORT", str(Port.GRPC))] if proxy.grpc else []),
            *(_tls_values() if proxy.tls else []),
            *pod.tracing(application),
        ],
        ports={"http": Port.HTTP, "admin": Port.PROXY_ADMIN} | ({"grpc": Port.GRPC} if proxy.grpc else {}),
        resources=pod.requests_and_limits(proxy.resources),
        mounts=[
            pod.mount("tmp", "/tmp"),
            pod.mount("routing", ROUTING_FOLDER, read_only=True),
            *([pod.mount("tls", TLS_FOLDER, read_only=True)] if proxy.tls else []),
        ],
        probes={
            "startupProbe": pod.http_probe("/healthz", Port.PROXY_ADMIN, period_s=1, failures=120),
            "readinessProbe": pod.http_probe("/readyz", Port.PROXY_ADMIN, period_s=1, failures=2),
            "livenessProbe": pod.http_probe("/healthz", Port.PROXY_ADMIN, period_s=10, failures=3, timeout_s=5),
        },
    )
    template = pod.pod_template(
        owner,
        application,
        Component.PROXY,
        [container],
        labels=labels(owner, Component.PROXY),
        purposes=(Purpose.DATA, Purpose.PROXY),
        volumes=[
            pod.scratch("tmp"),
            {"name": "routing", "configMap": {"name": names.routing(owner.name), "optional": True}},
            *([_tls_volume(proxy.tls.secret_name)] if proxy.tls else []),
        ],
        grace_s=GRACE_S,
        user_template=proxy.pod_template,
        extra={"topologySpreadConstraints": [_spread(owner)]},
    )
    body: Manifest = {
        "spec": {
            "replicas": proxy.replicas,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "revisionHistoryLimit": 2,
            "selector": {"matchLabels": selector(owner, Component.PROXY)},
            "template": template,
        }
    }
    return child(
        DEPLOYMENT,
        names.proxy(owner.name),
        owner,
        body,
        component=Component.PROXY,
        annotations={IMAGE_ANNOTATION: image},
        made_from=made_from,
    )


def service(owner: Owner, application: ServeApplication) -> Manifest:
    """Return the Service that takes the application's requests."""
    wanted = application.spec.proxy.service
    tls = application.spec.proxy.tls is not None
    port: Manifest = {"name": "http", "port": SERVICE_PORT, "targetPort": Port.HTTP, "protocol": "TCP"}
    if tls:
        # The protocol tells Gateways and meshes how to speak to it.
        port |= {"name": "https", "port": TLS_SERVICE_PORT, "appProtocol": "https"}
    if wanted.node_port is not None:
        port["nodePort"] = wanted.node_port
    ports = [port]
    if grpc := application.spec.proxy.grpc:
        # So that Gateways and meshes speak HTTP/2 to it, without TLS, or with it.
        speaks = {"protocol": "TCP", "appProtocol": "grpc" if tls else "kubernetes.io/h2c"}
        ports.append({"name": "grpc", "port": grpc.port, "targetPort": Port.GRPC, **speaks})
    body: Manifest = {
        "spec": {"type": wanted.type.value, "selector": selector(owner, Component.PROXY), "ports": ports},
    }
    return child(
        SERVICE,
        names.service(owner.name),
        owner,
        body,
        component=Component.PROXY,
        annotations=wanted.annotations,
        made_from=digest([body, wanted.annotations]),
    )


def budget(owner: Owner) -> Manifest:
    """Return the budget that lets a node drain take one proxy at a time."""
    body: Manifest = {
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": selector(owner, Component.PROXY)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        }
    }
    return child(BUDGET, names.proxy(owner.name), owner, body, component=Component.PROXY)


def routing_map(owner: Owner, routing: wire.Routing) -> Manifest:
    """Return the ConfigMap with the routing that was decided last."""
    body: Manifest = {"data": {ROUTING_FILE: routing.to_json().decode()}}
    return child(CONFIG_MAP, names.routing(owner.name), owner, body, component=Component.PROXY)


def url(owner: Owner, application: ServeApplication, service_status: Manifest) -> str:
    """Return where the application answers: the load balancer when there is one, else the Service's own name."""
    prefix = application.spec.route_prefix
    scheme = "https" if application.spec.proxy.tls else "http"
    if application.spec.proxy.service.type is ServiceType.LOAD_BALANCER:
        for entry in service_status.get("loadBalancer", {}).get("ingress", []):
            host = entry.get("hostname") or entry.get("ip")
            if host:
                return f"{scheme}://{f'[{host}]' if ':' in host else host}{prefix}"
    return f"{scheme}://{names.service(owner.name)}.{owner.namespace}.svc{prefix}"


def _tls_values() -> list[Manifest]:
    return [
        pod.value("REMORA_TLS_CERTIFICATE", f"{TLS_FOLDER}/tls.crt"),
        pod.value("REMORA_TLS_KEY", f"{TLS_FOLDER}/tls.key"),
        pod.value("REMORA_GRPC_TLS", "true"),
    ]


def _tls_volume(secret: str) -> Manifest:
    """Return the volume with a certificate. The folder, not its files, is mounted: so that a new one arrives."""
    items = [{"key": name, "path": name} for name in ("tls.crt", "tls.key")]
    return {"name": "tls", "secret": {"secretName": secret, "defaultMode": 0o440, "items": items}}


def _spread(owner: Owner) -> Manifest:
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector(owner, Component.PROXY)},
    }
