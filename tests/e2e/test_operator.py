"""The operator on a real Kubernetes: its manners (rights, silence, ownership) and what it does under load."""

from __future__ import annotations

import json
from typing import Any

import pytest

from demo.story import SYSTEM
from tests.cluster import Cluster
from tests.e2e.apps import application, deployment, source
from tests.e2e.stage import Stage, eventually, two_on_two_pods

pytestmark = pytest.mark.cluster

CHILDREN = (
    "serviceaccounts,configmaps,networkpolicies,services,statefulsets,replicasets,deployments,poddisruptionbudgets"
)
ACCOUNT = f"system:serviceaccount:{SYSTEM}:remora"
LOAD = ("--rate", "100", "--connections", "10", "--for", "240")


def steady(replicas: int = 2, **spec: Any) -> dict[str, Any]:
    return application(
        "steady",
        "steady:app",
        code={"inline": {"steady.py": source("steady")}},
        deployments=[deployment("Steady", replicas=replicas, maxOngoingRequests=100)],
        **spec,
    )


def writes(stage: Stage) -> dict[str, str]:
    """Return when the operator wrote the resource's status and each child last."""
    selector = ("-l", "app.kubernetes.io/managed-by=remora-operator")
    found = [
        json.loads(stage.kubectl("get", *what, "-o", "json", "--show-managed-fields"))
        for what in ((CHILDREN, *selector), ("sapp",))
    ]
    times = {
        f"{it['kind']}/{it['metadata']['name']}": [
            entry["time"] for entry in it["metadata"]["managedFields"] if entry["manager"] == "remora-operator"
        ]
        for items in found
        for it in items["items"]
    }
    # A Deployment's ReplicaSets have its labels and another writer.
    return {name: max(mine) for name, mine in times.items() if mine}


@pytest.mark.alone
def test_a_steady_state_is_silent_also_over_another_leader(stage: Stage) -> None:
    stage.apply(steady())
    stage.wait_ready("steady")
    metadata = stage.get("sapp", "steady")["metadata"]
    assert "finalizers" not in metadata
    assert not [key for key in metadata.get("annotations", {}) if "kopf" in key]

    eventually(
        lambda: all(it["ready"] == it["desired"] for it in stage.get("sapp", "steady")["status"]["workers"]), 60, ""
    )
    eventually(lambda: two_on_two_pods(stage), 90, "two replicas on two pods")
    eventually(lambda: stage.get("sapp", "steady")["status"]["ready"] == "2/2", 60, "2/2")
    before = writes(stage)
    holder = lease(stage.cluster)["holderIdentity"]
    pod = holder.partition("_")[0]
    stage.cluster.kubectl("delete", "pod", "-n", SYSTEM, pod, "--grace-period=0", "--force")
    eventually(lambda: lease(stage.cluster)["holderIdentity"] not in ("", holder), 25, "another leader")
    # Proof that the new leader works, and then that it left everything as it was.
    stage.kubectl("delete", "networkpolicy", "steady-head")
    eventually(lambda: stage.get("networkpolicy", "steady-head"), 20, "the deleted policy again")
    after = writes(stage)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed == {"NetworkPolicy/steady-head"}


def test_a_head_that_lost_its_tables_is_replaced_beside_the_workers_that_serve(stage: Stage) -> None:
    stage.apply(steady())
    stage.wait_ready("steady")
    with stage.load("steady", *LOAD) as load:
        stage.kubectl("delete", "pod", "steady-head-1-0")
        eventually(lambda: stage.get("sapp", "steady")["status"]["ray"]["incarnation"] == 2, 90, "a new Ray cluster")
        stage.wait_ready("steady")
        eventually(lambda: not stage.get("statefulset", "steady-head-1"), 60, "the old head gone")
        report = load.stop()
    assert report["failures"] == []


def test_suspend_waits_while_paused_takes_all_pods_away_and_brings_them_back(stage: Stage) -> None:
    stage.apply(steady())
    stage.wait_ready("steady")
    eventually(lambda: two_on_two_pods(stage), 90, "two replicas on two pods")
    stage.kubectl("annotate", "sapp/steady", "remora.dev/paused=true")
    eventually(lambda: stage.condition("steady", "Paused"), 20, "Paused")
    stage.kubectl("delete", "networkpolicy", "steady-head")
    before = writes(stage)
    stage.apply(steady(suspend=True))
    eventually(lambda: stage.condition("steady", "Ready")["reason"] == "ReconcilePaused", 20, "that it waits is told")
    assert stage.answer("steady")
    after = writes(stage)
    assert {name for name in before if before[name] != after.get(name)} <= {"ServeApplication/steady"}
    assert before.keys() == after.keys()
    stage.kubectl("annotate", "sapp/steady", "remora.dev/paused-")
    eventually(lambda: not stage.list("pods", application="steady"), 150, "no pods")
    assert stage.condition("steady", "Ready")["reason"] == "Suspended"
    stage.apply(steady())
    stage.wait_ready("steady")
    assert stage.answer("steady")


@pytest.mark.parametrize(
    ("verb", "what", "answer"),
    [
        ("create", "secrets", "yes"),
        ("get", "secrets", "no"),
        ("list", "secrets", "no"),
        ("patch", "secrets", "no"),
        ("patch", "serveapplications.remora.dev", "no"),
        ("patch", "serveapplications.remora.dev/status", "yes"),
        ("create", "pods", "no"),
        ("create", "rolebindings.rbac.authorization.k8s.io", "no"),
    ],
)
def test_the_operator_may_do_no_more_than_it_has_to(operator: Cluster, verb: str, what: str, answer: str) -> None:
    resource, _, subresource = what.partition("/")
    options = [f"--subresource={subresource}"] if subresource else []
    said = operator.kubectl("auth", "can-i", verb, resource, f"--as={ACCOUNT}", "-n", "default", *options, check=False)
    assert said.strip() == answer


def lease(cluster: Cluster) -> dict[str, Any]:
    spec: dict[str, Any] = json.loads(cluster.kubectl("get", "lease", "remora-operator", "-n", SYSTEM, "-o", "json"))[
        "spec"
    ]
    return spec
