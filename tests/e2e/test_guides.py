"""The commands of the guides, run as they stand there, print what the guides say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.guide import steps
from tests.e2e.stage import ROOT, Stage

pytestmark = pytest.mark.cluster

GUIDES = ROOT / "docs" / "guides"
EACH_S = 240


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", ["rollouts.md"])
def test_the_commands_of_a_guide(stage: Stage, tmp_path: Path, page: str) -> None:
    environment = shell(stage, tmp_path)
    found = steps((GUIDES / page).read_text())
    assert len(found) > 3
    for step in found:
        argv = ["bash", "-euo", "pipefail", "-c", step.commands]
        done = subprocess.run(
            argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=EACH_S, check=False
        )
        said = f"{page}:{step.line}\n{step.commands}\n{done.stdout}{done.stderr}"
        assert done.returncode == 0, said
        missing = step.missing(done.stdout)
        assert missing is None, f"{missing!r} was not printed by {said}"


def shell(stage: Stage, tmp_path: Path) -> dict[str, str]:
    """Return the environment of a user whose kubectl looks at the namespace of the test."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(stage.kubectl("config", "view", "--raw", "--flatten"))
    kubeconfig.chmod(0o600)
    kubectl = stage.cluster.kubectl_argv()[0]
    found = [str(Path(sys.executable).parent), str(Path(kubectl).parent), os.environ["PATH"]]
    environment = os.environ | {"KUBECONFIG": str(kubeconfig), "PATH": ":".join(found)}
    subprocess.run(
        [kubectl, "config", "set-context", "--current", f"--namespace={stage.namespace}"],
        env=environment,
        capture_output=True,
        check=True,
    )
    return environment
