"""Load from a pod of the cluster, by wrk."""

from __future__ import annotations

import json

from benchmarks.in_cluster import image
from benchmarks.peers import manifests
from benchmarks.wrk import Load
from tests.e2e.stage import Stage

WRK = """import json
from dataclasses import asdict
from benchmarks.wrk import load
load({url!r}, connections={connections}, seconds=2)
print(json.dumps([asdict(load({url!r}, connections={connections}, seconds=5)) for _ in range(3)]))
"""


def loads(stage: Stage, url: str, *connections: int) -> list[list[Load]]:
    """Load a URL with so many connections at a time, warm, three times 5 s each; raises CommandFailed for bad answers.

    The host of the URL has to have its port: wrk would look up that of "http" in a file that the image does not have.
    """
    stage.apply(manifests.client(image.IMAGE))
    stage.kubectl("wait", "pod", "client", "--for=condition=Ready", "--timeout=60s")
    try:
        return [_loads(stage, WRK.format(url=url, connections=it)) for it in connections]
    finally:
        stage.kubectl("delete", "pod", "client", "--grace-period=0", "--force")


def _loads(stage: Stage, program: str) -> list[Load]:
    said = stage.kubectl("exec", "client", "--", "python", "-c", program)
    return [Load(**it) for it in json.loads(said)]
