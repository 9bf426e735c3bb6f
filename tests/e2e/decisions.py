"""What autoscaling never writes: ``python -m tests.e2e.decisions`` lets it decide 1,000 times and compares.

Compared as those do who keep a resource in Git: by kubectl's diff of both kinds, and by Helm's three-way merge.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from demo.ground import Ground
from demo.story import install
from tests.cluster.cluster import running
from tests.e2e.apps import application, deployment
from tests.e2e.conftest import namespace
from tests.e2e.page import add, heading
from tests.e2e.stage import Stage, eventually

DEPLOYMENTS = 20
TOGGLING = f"""from ray import serve


def toggle(context):
    return 3 - context.target_num_replicas


class Idle:
    def __call__(self):
        return "idle"


@serve.deployment
class Front:
    def __init__(self, *others):
        pass

    def __call__(self):
        return "front"


app = Front.bind(*(serve.deployment(Idle).options(name=f"Idle{{n}}").bind() for n in range({DEPLOYMENTS})))
"""


def toggling() -> dict[str, Any]:
    """Return an application of many deployments whose policy asks for 2 replicas and 1 in turns, once a second.

    There is room for one of each: a decision starts no process, so that there can be many of them.
    """
    limits = {
        "minReplicas": 1,
        "maxReplicas": 2,
        "upscaleDelaySeconds": 0,
        "downscaleDelaySeconds": 0,
        "policy": {"importPath": "toggling:toggle"},
    }
    idle = [
        deployment(f"Idle{n}", autoscaling=limits) | {"resources": {"cpu": "20m", "memory": "200Mi"}}
        for n in range(DEPLOYMENTS)
    ]
    memory = f"{200 * (DEPLOYMENTS + 1)}Mi"
    group = {"name": "default", "minReplicas": 1, "maxReplicas": 1, "resources": {"cpu": "1", "memory": memory}}
    return application(
        "toggling",
        "toggling:app",
        code={"inline": {"toggling.py": TOGGLING}},
        deployments=[deployment("Front"), *idle],
        workers=[group],
    )


def decisions(stage: Stage) -> int:
    """Return how often autoscaling has changed a number, as the controller counts."""
    url = "f'http://{os.environ[\"POD_IP\"]}:8070/metrics'"
    asked = f"import os, urllib.request as u; print(u.urlopen({url}).read().decode())"
    command = ("exec", "toggling-head-1-0", "-c", "controller", "--", "python", "-c", asked)
    counted = [
        line.rpartition(" ")[2]
        for line in stage.kubectl(*command, check=False).splitlines()
        if line.startswith("remora_autoscaling_decisions_total{")
    ]
    return sum(int(float(it)) for it in counted)


def decide(stage: Stage, chart: Path, wanted: int) -> int:
    """Apply the application with Helm, wait for so many decisions, and compare; return how many there were by then."""
    resource = toggling()
    (chart / "templates").mkdir()
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: toggling\nversion: 0.1.0\n")
    (chart / "templates" / "toggling.json").write_text(json.dumps(resource))
    helm = ("-n", stage.namespace, "upgrade", "--install", "toggling", str(chart))
    stage.cluster.helm(*helm)
    stage.wait_ready("toggling")
    before = stage.get("sapp", "toggling")
    count = eventually(lambda: (n := decisions(stage)) >= wanted and n, 300, f"{wanted} decisions")
    after = stage.get("sapp", "toggling")
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    # `kubectl diff` fails when there is a difference.
    stage.kubectl("diff", "-f", "-", input=json.dumps(resource))
    stage.kubectl("diff", "--server-side", "--field-manager=helm", "-f", "-", input=json.dumps(resource))
    # Helm lays what was, what is and what is wanted over each other: there is nothing for it to take back either.
    stage.cluster.helm(*helm)
    assert stage.get("sapp", "toggling")["metadata"]["generation"] == before["metadata"]["generation"]
    assert stage.is_current("toggling"), "deciding is no reason not to be Ready"
    return int(count)


HEAD = """# What autoscaling never writes

Each run of `make soak-decisions` adds a section: a policy that wants another number every second in many deployments,
and the resource compared with what was applied, by its `spec` and generation, by `kubectl diff` of both kinds, and by
another `helm upgrade` of the same chart, a three-way merge. All of them have to find nothing.
"""


def main() -> int:
    """Let autoscaling decide; raises AssertionError when anything is found to differ."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.decisions", description=__doc__)
    parser.add_argument("--decisions", type=int, default=1000, help="how many there have to be at least")
    parser.add_argument("--into", type=Path, default=None, help="page for the result; none unless given")
    given = parser.parse_args()
    began, clock = datetime.now(UTC), time.monotonic()
    cluster = running()
    cluster.up()
    with cluster.claimed(), namespace(cluster) as name, TemporaryDirectory() as chart:
        install(Ground(cluster))
        count = decide(Stage(cluster, name), Path(chart), given.decisions)
    found = (
        f"{count:,} decisions of {DEPLOYMENTS} deployments in {time.monotonic() - clock:.0f} s, the start included: "
        "`spec` and generation as they were,\nnothing found by `kubectl diff`, `kubectl diff --server-side` and Helm."
    )
    print(found)
    if given.into is not None:
        add(given.into, HEAD, [*heading(began, f"make soak-decisions DECISIONS={given.decisions}"), found])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
