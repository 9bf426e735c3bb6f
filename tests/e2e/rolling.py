"""Rollouts of every kind, one after the other, under load that counts every request; the suite and the soak share it.

One application takes them all: `Rolling`, two replicas on two worker pods, calls `Side`, one replica in a pod of
another group. Each pod has room for two, so that only a changed template, or a second Ray cluster, needs more pods.
A client that never retries sends 100 requests a second on kept connections, and beside them holds a stream and a slow
request, again and again. Pods are counted from a watch, as a poll would miss the peak.
"""

from __future__ import annotations

import copy
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.apps import application, deployment
from tests.e2e.stage import Stage, eventually
from tests.e2e.watch import watched

NAME = "rolling"
LOAD = ("--rate", "100", "--connections", "8", "--timeout", "90", "--for", "100000")
ALLOWED_S = 300
"""For one rollout; a replica that answers a request of 30 seconds may take that long to go."""

CODE = """import asyncio
import os

from ray import serve
from starlette.responses import StreamingResponse


@serve.deployment
class Side:
    def __call__(self):
        return f"{os.environ['POD_NAME']}/{os.getpid()}"


@serve.deployment
class Rolling:
    def __init__(self, side):
        self.side = side

    async def __call__(self, request):
        seconds = float(request.query_params.get("seconds", 0))
        if request.url.path.endswith("/stream"):
            return StreamingResponse(self.tick(seconds), media_type="text/plain")
        await asyncio.sleep(seconds)
        return f"NUMBER {await self.side.remote()}"

    async def tick(self, seconds):
        for index in range(int(seconds * 10)):
            yield f"{index}\\n"
            await asyncio.sleep(0.1)


app = Rolling.bind(Side.bind())
"""

Manifest = dict[str, Any]


@dataclass(slots=True)
class Ground:
    """The application while it is being rolled: its manifest as it was applied last."""

    stage: Stage
    manifest: Manifest
    number: int = 0

    @property
    def spec(self) -> Manifest:
        """What is wanted; change it, then `rolled`."""
        spec: Manifest = self.manifest["spec"]
        return spec

    @property
    def generation(self) -> int:
        """Of the resource, as the API server counts."""
        return int(self.stage.get("sapp", NAME)["metadata"]["generation"])

    def another_code(self) -> None:
        """Change the code so that it answers another number."""
        self.number += 1
        self.spec["code"] = {"inline": {"rolling.py": CODE.replace("NUMBER", str(self.number))}}

    @property
    def answer(self) -> str:
        """What the code that is wanted answers, without the process of Side."""
        found = re.search(r'return f"(\d+) ', self.spec["code"]["inline"]["rolling.py"])
        assert found is not None
        return found[1]

    def pods(self) -> dict[str, set[str]]:
        """Return the uids of the pods of the head and of each worker group."""
        found: dict[str, set[str]] = {"head": set(), "large": set(), "small": set()}
        for component in ("head", "worker"):
            for pod in self.stage.pods(NAME, component):
                labels = pod["metadata"]["labels"]
                found[labels.get("remora.dev/group", "head")].add(pod["metadata"]["uid"])
        return found

    def apply(self) -> None:
        """Apply what is wanted."""
        self.stage.apply(self.manifest)

    def rolled(self) -> None:
        """Apply it, and wait until it is Ready."""
        self.apply()
        self.ends("Serving")

    def begun(self) -> None:
        """Apply it, and wait until its revision is being rolled out."""
        self.apply()

        def is_under_way() -> bool:
            resource = self.stage.get("sapp", NAME)
            status = resource["status"]
            is_current = status.get("observedGeneration") == resource["metadata"]["generation"]
            return is_current and status.get("updatedRevision") not in (None, "", status.get("currentRevision"))

        eventually(is_under_way, ALLOWED_S, "a rollout that has begun")

    def is_alone(self) -> bool:
        """Whether everything of the revision before is gone."""
        status = self.stage.get("sapp", NAME)["status"]
        pods = self.stage.list("pods", application=NAME)
        return (
            bool(status["ready"] == "3/3")
            and sum(it["metadata"]["labels"]["remora.dev/component"] == "head" for it in pods) == 1
            and sum(it["metadata"]["labels"]["remora.dev/component"] == "worker" for it in pods) == 3
        )

    def ends(self, reason: str) -> None:
        """Wait until the Ready condition of the present generation has this reason."""

        def said() -> bool:
            resource = self.stage.get("sapp", NAME)
            conditions = resource.get("status", {}).get("conditions", [])
            ready: dict[str, Any] = next((it for it in conditions if it["type"] == "Ready"), {})
            return (ready.get("reason"), ready.get("observedGeneration")) == (
                reason,
                resource["metadata"]["generation"],
            )

        try:
            eventually(said, ALLOWED_S, f"{NAME} {reason}")
        except AssertionError as error:
            status = self.stage.kubectl("get", "sapp", NAME, "-o", "jsonpath={.status}", check=False)
            raise AssertionError(f"{error}\n{status}") from error


def _code(ground: Ground) -> None:
    ground.another_code()
    ground.rolled()


def _options(ground: Ground) -> None:
    now = ground.spec["deployments"][0]["resources"]["cpu"]
    ground.spec["deployments"] = [rolling(_another(now, 46, 49)), SIDE]
    ground.rolled()


def _template(ground: Ground) -> None:
    ground.number += 1
    template = {"metadata": {"annotations": {"number": str(ground.number)}}}
    ground.spec["workers"] = [LARGE, SMALL | {"podTemplate": template}]
    ground.rolled()


def _head(ground: Ground) -> None:
    now = ground.spec["head"]["resources"]["cpu"]
    ground.spec["head"] = {"resources": {"cpu": _another(now, 41, 49), "memory": "1Gi"}}
    ground.rolled()


def _another(cpu: str, first: int, last: int) -> str:
    """Return the amount after this one, of those from first to last, in thousandths of a CPU."""
    following = int(cpu.removesuffix("m")) + 1
    return f"{following if first <= following <= last else first}m"


def _canary(ground: Ground) -> None:
    steps = [{"weight": 10, "pauseSeconds": 2}, {"weight": 50, "pauseSeconds": 2}]
    ground.spec["rollout"] = {"strategy": "Canary", "canary": {"steps": steps}}
    ground.another_code()
    ground.rolled()


def _canary_by_hand(ground: Ground) -> None:
    ground.spec["rollout"] = {"strategy": "Canary", "canary": {"steps": [{"weight": 20}]}}
    ground.another_code()
    ground.apply()
    ground.ends("Promoting")
    ground.stage.remora("rollout", "promote", NAME)
    ground.ends("Serving")


def _blue_green(ground: Ground) -> None:
    ground.spec["rollout"] = {"strategy": "BlueGreen", "blueGreen": {"autoPromoteSeconds": 1}}
    ground.another_code()
    ground.rolled()


def _taken_back(ground: Ground) -> None:
    """Roll out what cannot be imported; it is taken back by itself. The fix is what served all the time."""
    ground.number += 1
    good = ground.spec["importPath"]
    ground.spec["importPath"] = f"rolling:none{ground.number}"
    ground.apply()
    ground.ends("RolledBack")
    ground.spec["importPath"] = good
    ground.rolled()


def _undo(ground: Ground) -> None:
    """Roll out another code, go back by hand to what served before, and forward again."""
    ground.another_code()
    ground.rolled()
    ground.stage.remora("rollout", "undo", NAME)
    ground.ends("Serving")
    ground.stage.remora("rollout", "unpin", NAME)
    ground.ends("Serving")


def _overtaken(ground: Ground) -> None:
    """Change the code again while it is being rolled out: A, B, C."""
    ground.another_code()
    ground.begun()
    ground.another_code()
    ground.rolled()


def _thought_better_of(ground: Ground) -> None:
    """Go back to the code that serves while another is being rolled out: A, B, A."""
    good = ground.spec["code"]
    ground.another_code()
    ground.begun()
    ground.spec["code"] = good
    ground.rolled()


def _another_strategy(ground: Ground) -> None:
    """Begin as a canary, and go on without."""
    ground.spec["rollout"] = {"strategy": "Canary", "canary": {"steps": [{"weight": 20}]}}
    ground.another_code()
    ground.apply()
    ground.ends("Promoting")
    ground.spec["rollout"] = {"strategy": "Rolling"}
    ground.rolled()


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of rollout, and what it may cost."""

    name: str
    roll: Callable[[Ground], None]
    """Perform one, and wait for its end."""
    most_pods: int
    """Worker pods that there may be: 2 of Rolling, 1 of Side, and what the surge adds."""
    rolls: frozenset[str] | None = frozenset()
    """Whose pods are all others afterwards: of the head, of worker groups. All else stays; None may do either."""
    sides: int | None = None
    """How many processes of Side may have answered, where none of its replicas is to be replaced."""


# The surge's replicas find room on the pods that there are; those of a new template need one pod more.
IN_PLACE, BESIDE = 3, 6
ALL = frozenset({"head", "large", "small"})
KINDS = (
    Kind("code", _code, IN_PLACE),
    Kind("options of one deployment", _options, IN_PLACE, sides=1),
    Kind("template of one worker group", _template, IN_PLACE + 1, frozenset({"small"}), sides=1),
    Kind("head: a second Ray cluster", _head, BESIDE, ALL),
    Kind("canary by itself", _canary, BESIDE, ALL),
    Kind("canary by hand", _canary_by_hand, BESIDE, ALL),
    Kind("blue/green", _blue_green, BESIDE, ALL),
    Kind("taken back by itself", _taken_back, IN_PLACE, sides=1),
    Kind("undo and forward again", _undo, IN_PLACE),
    Kind("changed again meanwhile", _overtaken, IN_PLACE),
    Kind("changed back meanwhile", _thought_better_of, IN_PLACE),
    Kind("another strategy meanwhile", _another_strategy, BESIDE, None),
)


@dataclass(slots=True)
class Result:
    """What came of one kind."""

    kind: Kind
    rollouts: int = 0
    requests: int = 0
    failures: list[str] = field(default_factory=list)
    failed: int = 0
    long: int = 0
    """Streams and slow requests that were read to their end."""
    peak_pods: int = 0
    sides: int = 0
    seconds: list[float] = field(default_factory=list)
    p99_ms: float = 0.0
    rate: float = 0.0
    """Requests a second, from the first rollout's begin to the end of the last."""
    undone: list[str] = field(default_factory=list)
    """What a rollout has not done, or done beside."""

    def look(self, before: dict[str, set[str]], ground: Ground) -> None:
        """See that what was to be rolled is another now, and nothing else."""
        said = ground.stage.answer(NAME).partition(" ")[0]
        if said != ground.answer:
            self.undone.append(f"{said} is answered, the code says {ground.answer}")
        after = ground.pods()
        for part in sorted(ALL if self.kind.rolls is not None else ()):
            if part in (self.kind.rolls or ()) and before[part] & after[part]:
                self.undone.append(f"pods of {part} are as before")
            elif part not in (self.kind.rolls or ()) and before[part] != after[part]:
                self.undone.append(f"pods of {part} are others")

    def row(self) -> str:
        """Return a line of a Markdown table."""
        ordered = sorted(self.seconds) or [0.0]
        return (
            f"| {self.kind.name} | {self.rollouts} | {self.requests:,} ({self.rate:.0f}/s) | {self.long} "
            f"| {self.failed} | {self.peak_pods} ({self.kind.most_pods}) "
            f"| {ordered[len(ordered) // 2]:.0f} / {ordered[-1]:.0f} | {self.p99_ms:.0f} |"
        )

    def faults(self) -> list[str]:
        """Return what is not as it has to be."""
        found = [f"{self.kind.name}: {it}" for it in (*self.failures, *self.undone)]
        if self.peak_pods > self.kind.most_pods:
            found.append(f"{self.kind.name}: {self.peak_pods} worker pods, {self.kind.most_pods} are allowed")
        if self.kind.sides is not None and self.sides > self.kind.sides:
            found.append(f"{self.kind.name}: {self.sides} replicas of Side have answered: one was replaced")
        return found


HEADER = (
    "| kind | rollouts | requests (rate) | long ones | failures | most worker pods (allowed) "
    "| seconds (median / longest) | p99 ms |\n"
    "|---|---|---|---|---|---|---|---|"
)


def rolling(cpu: str) -> Manifest:
    """Return the ingress."""
    options = {"replicas": 2, "maxOngoingRequests": 100, "gracefulShutdownTimeoutSeconds": 90}
    return deployment("Rolling", **options) | {"resources": {"cpu": cpu, "memory": "200Mi"}}


SIDE = deployment("Side", replicas=1, maxOngoingRequests=100) | {"resources": {"cpu": "20m", "memory": "1010Mi"}}
# So little CPU that several applications can be rolled side by side on the four cores that two nodes say to have.
# Rolling needs more CPU than a pod of LARGE has, and Side more memory than one of SMALL, however empty: with less, Side
# came to a pod of SMALL that had joined first, and moved when SMALL was rolled.
SMALL = {"name": "small", "minReplicas": 1, "maxReplicas": 4, "resources": {"cpu": "100m", "memory": "1000Mi"}}
LARGE = {"name": "large", "minReplicas": 1, "maxReplicas": 4, "resources": {"cpu": "43m", "memory": "2100Mi"}}


def ground(stage: Stage) -> Ground:
    """Bring the application up."""
    manifest = application(
        NAME,
        "rolling:app",
        # None of the amounts that `_options` gives.
        deployments=[rolling("45m"), SIDE],
        workers=[LARGE, SMALL],
        head={"resources": {"cpu": "40m", "memory": "1Gi"}},
        proxy={"replicas": 1, "resources": {"cpu": "80m", "memory": "256Mi"}},
    )
    made = Ground(stage, copy.deepcopy(manifest))
    made.another_code()
    made.rolled()
    return made


def roll(ground: Ground, kinds: Sequence[tuple[Kind, int]], long_s: float) -> Iterator[Result]:
    """Run each kind so many times, with streams and slow requests of `long_s` seconds; one result a kind."""
    long = ("--streams", f"SERVICE/stream?seconds={long_s:g}", "--slow", f"SERVICE/slow?seconds={long_s:g}")
    labels = f"remora.dev/application={NAME},remora.dev/component=worker"
    for kind, times in kinds:
        result = Result(kind)
        if ground.spec.pop("rollout", None):
            # The strategy of the kind before.
            ground.rolled()
        with watched(ground.stage, "pods", labels) as pods, ground.stage.load(NAME, *LOAD, *long) as load:
            loaded = time.monotonic()
            for _ in range(times):
                stood, before = ground.pods(), ground.generation
                began = time.monotonic()
                kind.roll(ground)
                assert ground.generation > before, f"{kind.name}: nothing was changed"
                result.seconds.append(time.monotonic() - began)
                result.rollouts += 1
                # What answers a long request yet has to be gone before the next one, or pods of three are counted.
                eventually(ground.is_alone, ALLOWED_S, "no replica, pod or Ray cluster of the past")
                result.look(stood, ground)
            lasted = time.monotonic() - loaded
        report = load.report
        result.rate = report["requests"] / lasted
        result.requests, result.failed, result.failures = report["requests"], report["failed"], report["failures"]
        result.long, result.p99_ms = report["streams"], report["p99_ms"]
        result.peak_pods = pods.peak
        result.sides = len({it.rpartition(" ")[2] for it in report["answers"]})
        yield result
