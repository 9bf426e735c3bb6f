"""``make bench-cluster``: the data plane inside the test cluster, and the table in ``docs/results/``.

    python -m benchmarks.in_cluster [--rounds 3] [--seconds 3] [--programs noop,chain,chunks] [--into FILE]

Every side is pods behind a Service, and a client pod loads them in turns. The cluster's nodes share this machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import machine, table
from benchmarks.bench import WARM_UP_S, Recorder
from benchmarks.goals import Side
from benchmarks.in_cluster import image, manifests
from benchmarks.rows import chain, noop, stream
from benchmarks.samples import turns
from benchmarks.sides import ROOT
from demo.ground import Ground
from demo.story import install
from tests.cluster import Cluster, running

FIGURES = {it.key: it for row in (noop, chain, stream) for it in row.FIGURES}
SIDES = {"noop": tuple(Side), "chain": (Side.DEFAULT, Side.BEST, Side.REMORA), "chunks": tuple(Side)}
SHOWN = {
    "noop": ("noop_p50", "noop_16", "noop_64"),
    "chain": ("chain_16",),
    "chunks": ("stream_chunks", "stream_first"),
}
READY_S = 240
HOW = """Made by `make bench-cluster`: a client pod loads Services by name, in turns, {rounds} rounds with loads of
{seconds:g} s each. The nodes of the cluster are network namespaces of one machine, so all pods, the control plane and
the load generator share its cores: only ratios count. Remora runs its head, one worker pod and one proxy pod, with
everything on; bare uvicorn and Ray Serve (proxy and replicas) run in one pod each."""


def main() -> int:
    """Measure, print, and write the table where that is asked for."""
    given = _arguments()
    cluster = running()
    cluster.up()
    recorders = {}
    with cluster.claimed():
        install(Ground(cluster))
        with image.recipe() as recipe:
            cluster.build(recipe)
        for program in given.programs.split(","):
            with _namespace(cluster) as namespace:
                recorders[program] = _measure(cluster, namespace, program, given.rounds, given.seconds)
            for key in SHOWN[program]:
                print(table.line(*recorders[program].measured([FIGURES[key]])), flush=True)
            for side, why in recorders[program].failures.items():
                print(f"  {side}: {why}", flush=True)
    measured = [line for name, it in recorders.items() for line in it.measured([FIGURES[key] for key in SHOWN[name]])]
    how = HOW.format(rounds=given.rounds, seconds=given.seconds)
    page = table.page(measured, machine=machine.facts(None), how=how).replace("# Benchmarks", "# In the cluster", 1)
    if given.into:
        given.into.write_text(page)
        print(f"written: {given.into}")
    return 0


def _measure(cluster: Cluster, namespace: str, program: str, rounds: int, seconds: float) -> Recorder:
    recorder = Recorder()
    source = (ROOT / "benchmarks" / "programs" / f"{program}.py").read_text()
    _apply(cluster, namespace, manifests.client(image.IMAGE))
    for side in SIDES[program]:
        _apply(cluster, namespace, manifests.side(side, program, source, image.IMAGE))
    cluster.kubectl("-n", namespace, "wait", "pod", manifests.CLIENT, "--for=condition=Ready", f"--timeout={READY_S}s")
    if Side.REMORA in SIDES[program]:
        wait = ("wait", "sapp", manifests.NAMES[Side.REMORA], "--for=condition=Ready", f"--timeout={READY_S}s")
        cluster.kubectl("-n", namespace, *wait)
    sides = SIDES[program]
    for number, side in enumerate([*sides, *turns(sides, rounds)]):
        counts = number >= len(sides)
        if side in recorder.failures:
            continue
        duration = seconds if counts else WARM_UP_S
        words = ("python", "-m", "benchmarks.in_cluster.client", program, manifests.url(side, namespace), str(duration))
        argv = cluster.kubectl_argv("-n", namespace, "exec", manifests.CLIENT, "--", *words)
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            recorder.failures[side] = _reason(done.stderr)
        elif counts:
            recorder.add(side, json.loads(done.stdout))
    return recorder


def _reason(said: str) -> str:
    """Return the last line of the client's own, not that of `kubectl exec` after it."""
    lines = [it for it in said.strip().splitlines() if not it.startswith("command terminated")]
    return (lines or ["no word"])[-1][:300]


def _apply(cluster: Cluster, namespace: str, objects: list[manifests.Manifest]) -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": objects}
    cluster.kubectl("-n", namespace, "apply", "-f", "-", input=json.dumps(listed))


@contextmanager
def _namespace(cluster: Cluster) -> Iterator[str]:
    name = f"bench-{uuid.uuid4().hex[:6]}"
    cluster.kubectl("create", "namespace", name)
    try:
        cluster.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
        yield name
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=true", "--timeout=180s")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.in_cluster")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--programs", default=",".join(SIDES), help=f"some of: {','.join(SIDES)}")
    parser.add_argument("--into", type=Path, help="file for the table; none unless given")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
