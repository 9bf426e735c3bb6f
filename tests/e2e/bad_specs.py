"""Specs that no schema can refuse: each is reported with a sentence that says what to do, and nothing stops serving.

What the schema refuses, at which path and in which words, stands in manifests/bad.yaml and is tried by `test_crd`.
``python -m tests.e2e.bad_specs`` tries all of these; the suite some of them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from demo.ground import Ground
from demo.story import install
from tests.cluster.cluster import running
from tests.e2e.apps import application, deployment
from tests.e2e.conftest import namespace
from tests.e2e.manifests.table import merged
from tests.e2e.page import add, heading
from tests.e2e.stage import Stage, eventually

GOOD = """from ray import serve

@serve.deployment
class Shop:
    def __call__(self):
        return "open"

app = Shop.bind()
"""
HEADER = "from ray import serve\n\n@serve.deployment\nclass Shop:\n"
BODY = "    def __call__(self):\n        return 'bad'\n"
FOOTER = "\napp = Shop.bind()\n"
PODS = 3
LOAD = ("--rate", "50", "--connections", "4", "--for", "600")
WORKERS = [{"name": "default", "minReplicas": 1, "maxReplicas": 2, "resources": {"cpu": "300m", "memory": "1Gi"}}]


@dataclass(frozen=True, slots=True)
class Row:
    """One bad spec: a patch of the good one, the reason that is given, and words of the message."""

    name: str
    patch: dict[str, Any]
    says: tuple[str, ...]
    reason: str = "RolledBack"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was said of one bad spec, how soon, and what is wrong with that."""

    row: Row
    message: str
    seconds: float
    faults: tuple[str, ...] = ()

    def line(self) -> str:
        """Return a row of the table."""
        said = " ".join(self.message.split()).replace("|", "\\|")
        return f"| {self.row.name} | {self.seconds:.0f} | {said} |"


def code(text: str) -> dict[str, Any]:
    return {"code": {"inline": {"shop.py": text}}}


def shop_with(body: str) -> dict[str, Any]:
    return code(HEADER + body + BODY + FOOTER)


def worker(**spec: Any) -> dict[str, Any]:
    """Return a patch of the worker group's pod template."""
    return {"workers": [WORKERS[0] | {"podTemplate": {"spec": spec}}]}


def wants(**amounts: Any) -> dict[str, Any]:
    return {"deployments": [deployment("Shop") | {"resources": {"cpu": "100m", "memory": "200Mi"} | amounts}]}


ROLLED_OUT = [
    Row("a module that is not there", {"importPath": "shops:app"}, ("No module named 'shops'",)),
    Row("an attribute that is not there", {"importPath": "shop:apple"}, ("has no attribute 'apple'",)),
    Row("a syntax error", code("def app(:\n"), ("shop:app", "SyntaxError")),
    Row("an exception at import", code("raise RuntimeError('no licence')\n"), ("RuntimeError: no licence",)),
    Row("a package that the image has not", code("import torchvision\n" + GOOD), ("No module named 'torchvision'",)),
    Row("a module that ends the process", code("import sys\nsys.exit(3)\n"), ("shop:app",)),
    Row("a module that kills the process", code("import os\nos._exit(7)\n"), ("7",)),
    Row("no application at all", code("app = 42\n"), ("shop:app", "int")),
    Row("a name that is no deployment's", code(GOOD.replace("Shop.bind()", "Shop.bin()")), ("AttributeError",)),
    Row(
        "a builder that refuses its arguments",
        code("def app(args):\n    raise ValueError(f'size {args[\"size\"]} is too small')\n") | {"args": {"size": 0}},
        ("size 0 is too small",),
    ),
    Row("arguments for what is no builder", {"args": {"size": 1}}, ("args",)),
    Row("an option that there is not", code(GOOD.replace("deployment\n", "deployment(copies=2)\n")), ("copies",)),
    Row(
        "no request at a time",
        code(GOOD.replace("deployment\n", "deployment(max_ongoing_requests=0)\n")),
        ("max_ongoing_requests",),
    ),
    Row(
        "a constructor that raises",
        shop_with("    def __init__(self):\n        raise OSError('weights.bin is damaged')\n"),
        ("'Shop'", "weights.bin is damaged"),
    ),
    Row(
        "a variable that is not set",
        shop_with("    def __init__(self):\n        import os\n        self.url = os.environ['DATABASE_URL']\n"),
        ("'Shop'", "DATABASE_URL"),
    ),
    Row(
        "a constructor that kills the process",
        shop_with("    def __init__(self):\n        import os\n        os._exit(9)\n"),
        ("'Shop'",),
    ),
    Row(
        "a health check that never passes",
        shop_with("    def check_health(self):\n        raise RuntimeError('no connection to the store')\n"),
        ("'Shop'", "no connection to the store"),
    ),
    Row("more CPU than a worker pod has", wants(cpu="4"), ("Shop", "lower the deployment's resources")),
    Row("more memory than a worker pod has", wants(memory="64Gi"), ("Shop", "lower the deployment's resources")),
    Row("a GPU that no worker group has", wants(**{"nvidia.com/gpu": 1}), ("Shop", "raise the group's resources")),
    Row(
        "a volume that is mounted and not there",
        worker(containers=[{"name": "worker", "volumeMounts": [{"name": "models", "mountPath": "/models"}]}]),
        ("volumeMounts", "change the spec"),
    ),
    Row(
        "a constructor that never returns",
        shop_with("    def __init__(self):\n        import time\n        time.sleep(3600)\n"),
        ("no progress for 10 s", "'Shop': 1 starting", "kubectl logs"),
    ),
    Row(
        "a Secret that is not there",
        {"env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "nowhere", "key": "token"}}}]},
        ('secret "nowhere" not found', "create it, or take it out of spec.env"),
    ),
    Row("an image that is not there", {"image": "nowhere.invalid/none:1"}, ("nowhere.invalid/none:1", "spec.image")),
    Row("a node that is not there", worker(nodeSelector={"gpu": "yes"}), ("Unschedulable", "add a node")),
    Row(
        "a privileged worker",
        worker(containers=[{"name": "worker", "securityContext": {"privileged": True}}]),
        ("privileged", "change the spec"),
    ),
]
QUOTA = Row("a quota that is used up", {"env": [{"name": "A", "value": "1"}]}, ("exceeded quota", "ResourceQuota"))
IN_PLACE = [
    Row(
        "more replicas than the groups may hold",
        {"deployments": [deployment("Shop", replicas=30)]},
        ("Shop", "maxReplicas"),
        "NoCapacity",
    ),
    Row("a revision that there is not", {"revision": "shop-nothing"}, ("shop-nothing",), "RevisionNotFound"),
]


def head(**spec: Any) -> dict[str, Any]:
    """Return a patch of the head's pod template."""
    return {"head": {"podTemplate": {"spec": spec}}}


LATE = "ProgressDeadlineExceeded"
FIRST = [
    Row("bad-image", {"image": "nowhere.invalid/none:1"}, ("nowhere.invalid/none:1", "check spec.image"), LATE),
    Row("bad-image-name", {"image": "Not An Image"}, ("InvalidImageName", "check spec.image"), LATE),
    Row("no-such-node", head(nodeSelector={"disk": "fast"}), ("didn't match", "add a node"), LATE),
    Row("head-too-large", {"head": {"resources": {"cpu": "64"}}}, ("Insufficient cpu", "spec.head.resources"), LATE),
    Row("no-account", head(serviceAccountName="nobody"), ('"nobody" not found', "create it"), LATE),
    Row("no-priority", head(priorityClassName="very-high"), ("very-high", "create it"), LATE),
    Row("host-network", head(hostNetwork=True), ("hostNetwork=true", "change podTemplate"), LATE),
    Row(
        "no-claim",
        head(volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "lost"}}]),
        ('persistentvolumeclaim "lost" not found', "create the claim"),
        LATE,
    ),
    Row(
        "no-such-command",
        head(containers=[{"name": "ray", "command": ["/no/such/program"]}]),
        ("/no/such/program", "spec.image has to hold Remora's runtime"),
        LATE,
    ),
    Row(
        "no-config-map",
        # The head comes up, which takes more than the others' 10 s; the workers do not.
        {"envFrom": [{"configMapRef": {"name": "lost"}}], "rollout": {"progressDeadlineSeconds": 30}},
        ('configmap "lost" not found', "spec.envFrom"),
        LATE,
    ),
    Row(
        "no-certificate",
        {"proxy": {"replicas": 1, "tls": {"secretName": "lost"}}},
        ('secret "lost" not found', "spec.proxy.tls"),
        LATE,
    ),
    Row(
        "no-data",
        head(
            volumes=[{"name": "data", "configMap": {"name": "lost"}}],
            containers=[{"name": "ray", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
        ),
        ('configmap "lost" not found', "podTemplate"),
        LATE,
    ),
    Row("no-code", {"code": {"configMap": {"name": "lost"}}}, ("ConfigMap lost", "create it"), "CodeNotFound"),
    Row("empty-code", {"code": {"configMap": {"name": "empty"}}}, ("has no data", "add your files"), "CodeNotFound"),
    Row(
        "bad-volume",
        head(containers=[{"name": "ray", "volumeMounts": [{"name": "models", "mountPath": "/models"}]}]),
        ("volumeMounts",),
        "ApplyFailed",
    ),
]


def shop(name: str = "shop", **spec: Any) -> dict[str, Any]:
    """Return the good application."""
    return application(
        name,
        "shop:app",
        deployments=[deployment("Shop")],
        workers=WORKERS,
        rollout={"progressDeadlineSeconds": 10},
        **code(GOOD),
        **spec,
    )


def bad(row: Row, name: str = "shop") -> dict[str, Any]:
    spec = shop(name)["spec"]
    # A source of code, or a deployment's list, is replaced and not merged.
    kept = {key: value for key, value in spec.items() if key not in row.patch or key == "head"}
    return shop(name) | {"spec": merged(kept, row.patch)}


def judge(stage: Stage, row: Row, name: str = "shop", within_s: float = 60) -> Judgement:
    """Wait until the application is given the row's reason and words, and return what was said.

    The words may come after the reason: a deadline passes before the kubelet has given up on a registry's name.
    """
    began, message = time.monotonic(), ""

    def said() -> bool:
        nonlocal message
        resource = stage.get("sapp", name)
        ready: dict[str, Any] = next(
            (c for c in resource.get("status", {}).get("conditions", []) if c["type"] == "Ready"), {}
        )
        message = f"{ready.get('reason')}: {ready.get('message')}"
        is_current = ready.get("observedGeneration") == resource["metadata"]["generation"]
        is_given = is_current and ready.get("reason") == row.reason
        return is_given and all(word in message for word in row.says)

    try:
        eventually(said, within_s, row.name)
    except AssertionError:
        faults = [f"{row.name}: never {row.reason} with {' and '.join(map(repr, row.says))}: {message}"]
    else:
        is_stalled = stage.condition(name, "Stalled").get("status") == "True"
        faults = [] if is_stalled else [f"{row.name}: not Stalled"]
    return Judgement(row, message, time.monotonic() - began, tuple(faults))


def roll_out(stage: Stage, rows: Sequence[Row]) -> Iterator[Judgement]:
    """Give each bad spec to the application `shop`, which serves, one after the other."""
    for row in rows:
        stage.apply(bad(row))
        yield judge(stage, row)


def roll_out_into_a_quota(stage: Stage) -> Judgement:
    """Give the application `shop` no pod more than it has, and a spec that needs one."""
    # Back to one pod of each kind, which is what the quota allows.
    eventually(lambda: len(stage.list("pods", application="shop")) == PODS, 60, "no pod of the row before")
    stage.apply(quota(PODS))
    used = {"pods": str(PODS)}
    eventually(lambda: stage.get("resourcequota", "pods").get("status", {}).get("used") == used, 30, "a counted quota")
    stage.apply(bad(QUOTA))
    judged = judge(stage, QUOTA)
    stage.kubectl("delete", "resourcequota", "pods")
    return judged


def begin(stage: Stage, rows: Sequence[Row], at_once: int = 4) -> Iterator[Judgement]:
    """Begin with each bad spec, some applications at a time: the heads of all would fill the nodes."""
    stage.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "empty"}})
    for first in range(0, len(rows), at_once):
        batch = rows[first : first + at_once]
        stage.apply(*(bad(row, row.name) for row in batch))
        yield from [judge(stage, row, row.name, within_s=90) for row in batch]
        stage.kubectl("delete", "sapp", *(row.name for row in batch), "--wait=false")


def quota(pods: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "pods"},
        "spec": {"hard": {"pods": str(pods)}},
    }


HEAD = """# Specs that no schema can refuse

Each run of `make soak-bad-specs` adds its tables here: one bad spec a row, the seconds until it was Stalled, and what
the condition Ready said then. What is refused when it is applied stands in `tests/e2e/manifests/bad.yaml`.
"""
TABLE = "| spec | seconds | reason and message |\n|---|---|---|"


def main() -> int:
    """Try all rows; the exit status is 1 when one was not said as it has to be, or a request failed meanwhile."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.bad_specs", description=__doc__)
    parser.add_argument("--into", type=Path, default=None, help="page for the tables; none unless given")
    parser.add_argument("--rows", default="", help="words, one of which a row's name has to have, by commas")
    given = parser.parse_args()
    words = [it for it in given.rows.split(",") if it]

    def some(rows: Sequence[Row]) -> list[Row]:
        return [it for it in rows if not words or any(word in it.name for word in words)]

    began = datetime.now(UTC)
    cluster = running()
    cluster.up()
    with cluster.claimed(), namespace(cluster) as name:
        install(Ground(cluster))
        stage = Stage(cluster, name)
        stage.apply(shop())
        stage.wait_ready("shop")
        later: list[Judgement] = []
        requests = failures = 0
        if some([*ROLLED_OUT, QUOTA, *IN_PLACE]):
            with stage.load("shop", *LOAD) as load:
                later += [_told(it) for it in roll_out(stage, some(ROLLED_OUT))]
                later += [_told(roll_out_into_a_quota(stage)) for _ in some([QUOTA])]
                later += [_told(it) for it in roll_out(stage, some(IN_PLACE))]
            requests, failures = load.report["requests"], len(load.report["failures"])
        first = [_told(it) for it in begin(stage, some(FIRST))]
    faults = [fault for it in [*later, *first] for fault in it.faults]
    lines = [
        *heading(began, "make soak-bad-specs" + (f' ROWS="{given.rows}"' if given.rows else "")),
        f"In place of a spec that serves, which went on serving ({requests:,} requests, {failures} failures):",
        "",
        TABLE,
        *(it.line() for it in later),
        "",
        "As the first spec, four at once (seconds after the row above):",
        "",
        TABLE,
        *(it.line() for it in first),
        *(["", "What was not as it has to be:", "", *(f"* {it}" for it in faults)] if faults else []),
    ]
    if given.into is not None:
        add(given.into, HEAD, lines)
    return 1 if faults or failures else 0


def _told(judgement: Judgement) -> Judgement:
    print("\n".join([judgement.line(), *judgement.faults]), flush=True)
    return judgement


if __name__ == "__main__":
    raise SystemExit(main())
