"""What helps is said behind Kubernetes' own words."""

from __future__ import annotations

import pytest

from remora_api.meta import Component
from remora_operator.advice import advice
from remora_operator.observed import child_from


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ("container worker: ErrImagePull: not found", "spec.image"),
        ("container worker: InvalidImageName: Failed to apply default image tag", "spec.image"),
        ('container worker: CreateContainerConfigError: configmap "x" not found', "spec.envFrom"),
        ('FailedCreate: pods "a" is forbidden: exceeded quota: q, requested: pods=1', "ResourceQuota"),
        ('FailedCreate: pods "a" is forbidden: violates PodSecurity "restricted:latest"', "podTemplate"),
        ('FailedCreate: pods "a" is forbidden: error looking up service account n/x: serviceaccount', "podTemplate"),
        ('Unschedulable: 0/2 nodes are available: persistentvolumeclaim "x" not found.', "create the claim"),
        ("Unschedulable: 0/2 nodes are available: 2 Insufficient cpu.", "spec.rollout.maxUnavailable"),
        ("container ray ended with exit code 128: failed to create containerd task: no such file", "Remora's runtime"),
        ('container worker: RunContainerError: exec: "x": not found', "Remora's runtime"),
    ],
)
def test_says_what_to_do_about_a_worker(trouble: str, words: str) -> None:
    assert words in advice(trouble, Component.WORKER)


def test_says_what_to_do_about_a_head_and_nothing_where_it_knows_nothing() -> None:
    assert "spec.head.resources" in advice("Unschedulable: 2 Insufficient cpu.", Component.HEAD)
    assert advice("container worker ended with exit code 1: boom", Component.WORKER) == ""


def test_reads_why_a_set_makes_no_pods() -> None:
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "a", "namespace": "n"},
        "status": {"replicas": 0, "conditions": [condition]},
    }
    assert child_from(manifest).trouble == "FailedCreate: exceeded quota"
    assert child_from(manifest | {"status": {"conditions": [condition | {"status": "False"}]}}).trouble == ""
