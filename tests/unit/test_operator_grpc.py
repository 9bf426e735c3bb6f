"""What gRPC adds to an application's children, and that it adds nothing where it is off."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from remora_api.v1alpha1 import InvalidManifest, ServeApplication
from remora_operator.kinds import Manifest
from remora_operator.resources import network, proxy
from remora_operator.resources.metadata import Owner
from tests.fakes.applications import application, manifest

GRPC = {"servicerFunctions": ["words_pb2_grpc:add_WordsServicer_to_server"], "port": 9090}


def test_grpc_is_a_second_port_of_the_service_and_of_the_pods() -> None:
    wanted = application(proxy={"grpc": GRPC})
    owner = Owner.of(wanted)
    http, rpc = proxy.service(owner, wanted)["spec"]["ports"]
    assert (http["port"], rpc["port"], rpc["targetPort"], rpc["appProtocol"]) == (80, 9090, 9000, "kubernetes.io/h2c")
    (container,) = proxy.deployment(owner, wanted, "image", "hash")["spec"]["template"]["spec"]["containers"]
    assert {"name": "REMORA_GRPC_PORT", "value": "9000"} in container["env"]
    assert 9000 in [port["containerPort"] for port in container["ports"]]
    policies = network.policies(owner, "remora-system", grpc=True)
    assert 9000 in _open_to_everyone(policies)


def test_without_grpc_all_is_as_before_it_was_known() -> None:
    plain = application()
    owner = Owner.of(plain)
    assert "grpc" not in proxy.inputs(plain)
    assert proxy.inputs(plain) != proxy.inputs(application(proxy={"grpc": GRPC}))
    assert len(proxy.service(owner, plain)["spec"]["ports"]) == 1
    (container,) = proxy.deployment(owner, plain, "image", "hash")["spec"]["template"]["spec"]["containers"]
    assert "REMORA_GRPC_PORT" not in [variable["name"] for variable in container["env"]]
    assert _open_to_everyone(network.policies(owner, "remora-system")) == [8000]


def _open_to_everyone(policies: list[Manifest]) -> list[int]:
    rules = [rule for policy in policies for rule in policy["spec"]["ingress"]]
    return [port["port"] for rule in rules if "from" not in rule for port in rule["ports"]]


@pytest.mark.parametrize(
    ("grpc", "problem"),
    [
        ({"servicerFunctions": []}, "servicerFunctions"),
        ({}, "servicerFunctions"),
        ({"servicerFunctions": ["no function"]}, "must be module:function"),
        ({**GRPC, "port": 80}, "80 is the port of HTTP"),
    ],
)
def test_a_wrong_grpc_is_refused(grpc: object, problem: str) -> None:
    with pytest.raises(InvalidManifest, match=problem):
        ServeApplication.from_manifest(manifest(proxy={"grpc": grpc}), strict=True)


def test_the_guide_s_manifest_is_one() -> None:
    text = (Path(__file__).parents[2] / "docs" / "guides" / "protocols.md").read_text()
    block = text.partition("```yaml\n")[2].partition("```")[0]
    assert application(**yaml.safe_load(block)["spec"]).spec.proxy.grpc is not None
