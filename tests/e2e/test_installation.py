"""Other ways to install the operator than the demo's: for some namespaces, with Roles alone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from demo.ground import IMAGES
from demo.story import ROOT
from tests.e2e.apps import application, deployment, source
from tests.e2e.stage import Stage, eventually

pytestmark = pytest.mark.cluster

RELEASE = "remora-small"
MINE = f"app.kubernetes.io/instance={RELEASE}"


def test_an_operator_with_roles_alone_serves_its_namespaces_and_no_other(
    stage: Stage,
    other_stage: Stage,
    absent_operator: Callable[[], AbstractContextManager[Callable[[], float]]],
) -> None:
    values = IMAGES | {
        "rbac.scope": "namespace",
        "rbac.namespaces": f"{{{stage.namespace}}}",
        "crds.install": "false",
        "rbac.aggregate": "false",
        "replicas": "1",
    }
    sets = [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
    with absent_operator():
        chart = str(ROOT / "charts" / "remora")
        try:
            stage.cluster.helm(
                "install", RELEASE, chart, "-n", stage.namespace, "--wait", "--timeout", "120s", *sets
            )  # fmt: skip
            assert not stage.cluster.kubectl("get", "clusterroles,clusterrolebindings", "-l", MINE, "-o", "name")
            for each in (other_stage, stage):
                each.apply(
                    application(
                        "steady",
                        "steady:app",
                        code={"inline": {"steady.py": source("steady")}},
                        deployments=[deployment("Steady")],
                        head={"resources": {"cpu": "200m", "memory": "1Gi"}},
                    )
                )
            stage.wait_ready("steady")
            assert stage.answer("steady")
            assert other_stage.get("sapp", "steady")["status"]["observedGeneration"] == -1, "somebody looked at it"
            assert not other_stage.list("pods", application="steady")
            stage.kubectl("delete", "sapp", "steady", "--wait=true")
            eventually(lambda: not stage.list("pods", application="steady"), 90, "no pods")
        finally:
            stage.cluster.helm("uninstall", RELEASE, "-n", stage.namespace, "--ignore-not-found", check=False)
            other_stage.kubectl("delete", "sapp", "steady", "--ignore-not-found")
