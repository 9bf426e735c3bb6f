"""A ServeApplication becomes a Target."""

from __future__ import annotations

from typing import Any

from remora_api.digests import digest
from remora_api.target import code_bundle, revision_inputs, target_from
from remora_api.v1alpha1 import ServeApplication
from remora_api.wire import GroupTarget, Resources
from remora_api.wire_group import PlacementGroup, Strategy


def application(**spec: Any) -> ServeApplication:
    return ServeApplication.from_manifest(
        {"metadata": {"name": "hello", "generation": 3}, "spec": {"importPath": "hello:app", **spec}}
    )


def test_carries_what_the_spec_says() -> None:
    bundle = code_bundle({"hello.py": "app = 1"})
    target = target_from(
        application(replicas=2, args={"size": 3}, rollout={"maxSurge": 2, "maxUnavailable": 1}),
        revision="hello-1",
        code=bundle,
        groups=[GroupTarget(name="cpu", template="t1")],
        drain_nodes=["b", "a"],
    )
    assert (target.application, target.generation, target.revision) == ("hello", 3, "hello-1")
    assert (target.ingress_replicas, target.args, target.code) == (2, {"size": 3}, bundle)
    assert (target.max_surge, target.max_unavailable, target.drain_nodes) == (2, 1, ("a", "b"))


def test_overrides_name_units_and_ray_resources() -> None:
    (override,) = target_from(
        application(deployments=[{"name": "M", "resources": {"cpu": "500m", "memory": "1Ki", "nvidia.com/gpu": 1}}]),
        revision="r",
    ).deployments
    assert override.resources == Resources(cpu_milli=500, memory_bytes=1024, custom={"GPU": 1.0})
    assert (override.replicas, override.has_user_config, override.spread) == (None, False, None)


def test_bundles_are_in_rays_names_and_hold_what_is_named() -> None:
    sharded = {"name": "M", "bundles": [{"cpu": "500m", "nvidia.com/gpu": 1}, {"memory": "1Ki"}]}
    spread = {"name": "N", "bundles": [{"cpu": 1}], "bundleStrategy": "StrictSpread"}
    first, second, third = target_from(
        application(deployments=[sharded, spread, {"name": "O"}]), revision="r"
    ).deployments
    assert first.group == PlacementGroup(bundles=({"CPU": 0.5, "GPU": 1}, {"memory": 1024}), strategy=Strategy.PACK)
    assert second.group == PlacementGroup(bundles=({"CPU": 1},), strategy=Strategy.STRICT_SPREAD)
    assert third.group is None


def test_a_falsy_user_config_is_still_one() -> None:
    (override,) = target_from(application(deployments=[{"name": "M", "userConfig": {}}]), revision="r").deployments
    assert override.has_user_config
    assert override.user_config == {}


def test_what_changes_in_place_is_no_part_of_the_revision() -> None:
    before = revision_inputs(application(replicas=1), None)
    after = revision_inputs(application(replicas=4, deployments=[{"name": "M", "userConfig": {"a": 1}}]), None)
    assert before == after
    assert before != revision_inputs(application(args={"a": 1}), None)


def test_digest_does_not_depend_on_order() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert code_bundle({"a": "1"}).digest != code_bundle({"a": "2"}).digest


def test_what_autoscaling_decided_is_handed_on_for_another_ray_cluster() -> None:
    status = {"deployments": [{"name": "M", "desired": 5, "autoscaled": True}, {"name": "N", "desired": 2}]}
    metadata = {"name": "hello", "generation": 3}
    it = ServeApplication.from_manifest({"metadata": metadata, "spec": {"importPath": "hello:app"}, "status": status})
    assert target_from(it, revision="r").scaled == {"M": 5}


def test_autoscaling_is_in_numbers() -> None:
    given = {"maxReplicas": 9, "targetOngoingRequests": "1.5", "aggregationFunction": "Max", "upscalingFactor": "500m"}
    (override,) = target_from(application(deployments=[{"name": "M", "autoscaling": given}]), revision="r").deployments
    found = override.autoscaling
    assert found is not None
    assert (found.max_replicas, found.target_ongoing_requests, found.aggregation.value) == (9, 1.5, "Max")
    assert (found.upscaling_factor, found.upscale_delay_s, found.downscale_delay_s) == (0.5, 30, 600)
