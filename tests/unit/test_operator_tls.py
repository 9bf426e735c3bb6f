"""What TLS adds to an application's children, and that it adds nothing where it is off."""

from __future__ import annotations

from typing import Any

import pytest

from remora_api.v1alpha1 import InvalidManifest, ServeApplication
from remora_operator.resources import proxy
from remora_operator.resources.metadata import Owner
from tests.fakes.applications import application, manifest

TLS = {"tls": {"secretName": "shop-tls"}}
GRPC = {"grpc": {"servicerFunctions": ["words_pb2_grpc:add_WordsServicer_to_server"]}}


def pod(wanted: ServeApplication) -> Any:
    return proxy.deployment(Owner.of(wanted), wanted, "image", "hash")["spec"]["template"]["spec"]


def test_the_secret_is_mounted_and_the_service_speaks_https() -> None:
    wanted = application(proxy=TLS)
    (port,) = proxy.service(Owner.of(wanted), wanted)["spec"]["ports"]
    assert (port["name"], port["port"], port["targetPort"], port["appProtocol"]) == ("https", 443, 8000, "https")
    made = pod(wanted)
    (volume,) = (it for it in made["volumes"] if it["name"] == "tls")
    assert volume["secret"]["secretName"] == "shop-tls"
    (container,) = made["containers"]
    (mount,) = (it for it in container["volumeMounts"] if it["name"] == "tls")
    assert mount["readOnly"]
    assert "subPath" not in mount  # Kubernetes would never bring a new certificate there.
    values = {it["name"]: it.get("value") for it in container["env"]}
    assert values["REMORA_TLS_CERTIFICATE"] == f"{mount['mountPath']}/tls.crt"
    assert values["REMORA_TLS_KEY"] == f"{mount['mountPath']}/tls.key"


def test_grpc_speaks_tls_too() -> None:
    wanted = application(proxy={**TLS, **GRPC})
    _, rpc = proxy.service(Owner.of(wanted), wanted)["spec"]["ports"]
    assert rpc["appProtocol"] == "grpc"
    (container,) = pod(wanted)["containers"]
    assert {"name": "REMORA_GRPC_TLS", "value": "true"} in container["env"]


def test_the_url_says_so() -> None:
    for given, scheme in ((TLS, "https"), ({}, "http")):
        wanted = application(proxy=given)
        assert proxy.url(Owner.of(wanted), wanted, {}).startswith(f"{scheme}://")
        wanted = application(proxy={**given, "service": {"type": "LoadBalancer"}})
        status = {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}
        assert proxy.url(Owner.of(wanted), wanted, status) == f"{scheme}://10.0.0.1/"


def test_without_tls_all_is_as_before_it_was_known() -> None:
    plain = application()
    assert "tls" not in proxy.inputs(plain)
    assert proxy.inputs(plain) != proxy.inputs(application(proxy=TLS))
    assert "tls" not in [it["name"] for it in pod(plain)["volumes"]]
    (container,) = pod(plain)["containers"]
    assert not [it["name"] for it in container["env"] if "TLS" in it["name"]]


@pytest.mark.parametrize("tls", [{}, {"secretName": "Not A Name"}])
def test_a_wrong_tls_is_refused(tls: object) -> None:
    with pytest.raises(InvalidManifest, match="secretName"):
        ServeApplication.from_manifest(manifest(proxy={"tls": tls}), strict=True)
