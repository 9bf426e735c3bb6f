"""The operator's installation: over one that was cut short, and for some namespaces, with Roles alone."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from demo import release
from demo.ground import IMAGES, Ground
from demo.story import ROOT, SYSTEM, install
from tests.cluster import Cluster
from tests.e2e.apps import application, deployment, source
from tests.e2e.stage import Stage, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.alone]

RELEASE = "remora-small"
MINE = f"app.kubernetes.io/instance={RELEASE}"


def test_an_install_gets_over_one_that_was_killed_midway(operator: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    def pending() -> str:
        return operator.helm("list", "-n", SYSTEM, "--pending", "--short").strip()

    # No node can get this image, so that Helm waits; the pods that serve stay until others are ready.
    values = release.settings(IMAGES | {"image.tag": "never-built"})
    upgrade = ["upgrade", release.NAME, str(ROOT / "charts" / "remora"), "-n", SYSTEM, "--wait", *values]
    flag = f"--kubeconfig={operator.kubeconfig}"
    with subprocess.Popen([operator.backend.helm, flag, *upgrade], stdout=subprocess.DEVNULL) as helm:
        try:
            eventually(pending, 30, "a release that is pending")
        finally:
            helm.kill()
    assert pending() == release.NAME
    install(Ground(operator))
    assert "pending-upgrade" in capsys.readouterr().out
    assert not pending()
    listed = operator.helm("list", "-n", SYSTEM, "--deployed", "--short")
    assert listed.split() == [release.NAME]


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
