"""Images of both sides, and KubeRay's operator: built from the Go module, its manifests taken from there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.in_cluster.image import put
from benchmarks.peers import go
from benchmarks.sides import ROOT
from tests.cluster.recipes import RUNTIME, Recipe, ours

KUBERAY = "v1.6.2"
MODULE = "github.com/ray-project/kuberay/ray-operator"
OPERATOR = f"remora.dev/peer-kuberay:{KUBERAY}"
PROGRAM = ROOT / "benchmarks" / "programs" / "peer.py"
HERE = Path(__file__).parent
TOOLS = ("wget", "redis-server")
"""KubeRay's probe of a worker is a `wget` in its pod; the pod of Redis has the same image."""


class CannotBuild(Exception):
    """A tool is missing."""


def ray(tag: str) -> str:
    """Return the image of KubeRay's pods."""
    return f"remora.dev/peer-ray:{tag}"


def remora(tag: str) -> str:
    """Return the image of Remora's pods."""
    return f"remora.dev/peer-remora:{tag}"


def sources() -> Path:
    """Return KubeRay's module; raises CommandFailed."""
    return go.module(MODULE, KUBERAY)


def operator() -> Path:
    """Return KubeRay's operator; raises CommandFailed."""
    return go.program(f"kuberay-{KUBERAY}", "manager", sources(), "3 min on 2 cores, seconds when Go has it cached")


@contextmanager
def recipes() -> Iterator[list[Recipe]]:
    """Give all recipes, whose contexts last as long as the block; raises CannotBuild."""
    missing = [it for it in TOOLS if shutil.which(it) is None]
    if missing:
        raise CannotBuild(f"{' and '.join(missing)} is copied from this machine: install it, for instance by apt-get")
    runtime = next(it for it in ours() if it.image == RUNTIME)
    with TemporaryDirectory() as folder:
        of_ray = Path(folder) / "ray"
        of_ray.mkdir()
        for tool in TOOLS:
            put(tool, of_ray / tool)
        shutil.copy(PROGRAM, of_ray)
        shutil.copy(HERE / "Dockerfile", of_ray)
        parts = tuple(of_ray / it for it in (*TOOLS, PROGRAM.name))
        first = Recipe(ray("1"), of_ray / "Dockerfile", of_ray, parts)
        yield [
            go.recipe(OPERATOR, operator(), Path(folder) / "operator"),
            first,
            _over(Path(folder) / "ray2", ray("2"), ray("1"), first.fingerprint(), "2"),
            _over(Path(folder) / "remora1", remora("1"), RUNTIME, runtime.fingerprint(), "1"),
            _over(Path(folder) / "remora2", remora("2"), RUNTIME, runtime.fingerprint(), "2"),
        ]


def _over(context: Path, image: str, below: str, fingerprint: str, number: str) -> Recipe:
    """Return what differs from the image below by its number only."""
    context.mkdir()
    mark, dockerfile = context / "below", context / "Dockerfile"
    mark.write_text(fingerprint)
    dockerfile.write_text(f"FROM {below}\nENV PEER_IMAGE={number}\n")
    return Recipe(image, dockerfile, context, (mark,))
