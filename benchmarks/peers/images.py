"""Images of both sides, and KubeRay's operator: built from the Go module, its manifests taken from there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.in_cluster.image import put
from benchmarks.sides import ROOT
from tests.cluster import binaries
from tests.cluster.commands import run
from tests.cluster.progress import step
from tests.cluster.recipes import RUNTIME, Recipe, ours
from tests.cluster.settings import Settings

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
    """Return KubeRay's module, downloaded by Go into its cache, read-only; raises CommandFailed."""
    said = run("go", "mod", "download", "-json", f"{MODULE}@{KUBERAY}", cwd=Path("/"))
    return Path(json.loads(said)["Dir"])


def operator() -> Path:
    """Return KubeRay's operator, one static program, built when it is not there; raises CommandFailed."""
    program = Settings.read().cache / f"kuberay-{KUBERAY}" / "manager"
    if not program.exists():
        with step(f"building KubeRay {KUBERAY}", "3 min on 2 cores, seconds when Go has it cached"):
            # In its own folder: `go install MODULE@VERSION` would ask for a list of all versions, too.
            binaries.build(sources(), program)
    return program


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
            _of_operator(Path(folder) / "operator"),
            first,
            _over(Path(folder) / "ray2", ray("2"), ray("1"), first.fingerprint(), "2"),
            _over(Path(folder) / "remora1", remora("1"), RUNTIME, runtime.fingerprint(), "1"),
            _over(Path(folder) / "remora2", remora("2"), RUNTIME, runtime.fingerprint(), "2"),
        ]


def _of_operator(context: Path) -> Recipe:
    context.mkdir()
    program = shutil.copy(operator(), context / "manager")
    dockerfile = context / "Dockerfile"
    # As its own image: the program and an unprivileged user.
    dockerfile.write_text('FROM scratch\nCOPY manager /manager\nUSER 65532:65532\nENTRYPOINT ["/manager"]\n')
    return Recipe(OPERATOR, dockerfile, context, (Path(program),))


def _over(context: Path, image: str, below: str, fingerprint: str, number: str) -> Recipe:
    """Return what differs from the image below by its number only."""
    context.mkdir()
    mark, dockerfile = context / "below", context / "Dockerfile"
    mark.write_text(fingerprint)
    dockerfile.write_text(f"FROM {below}\nENV PEER_IMAGE={number}\n")
    return Recipe(image, dockerfile, context, (mark,))
