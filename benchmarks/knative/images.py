"""Knative's programs, built from its Go module, and the images of both sides."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.sides import ROOT
from tests.cluster import binaries
from tests.cluster.commands import run
from tests.cluster.progress import step
from tests.cluster.recipes import RUNTIME, Recipe, ours
from tests.cluster.settings import Settings

KNATIVE = "v0.50.0"
"""As the Go module counts; Knative's own release of it is called 1.23."""
SERVING, NETWORKING, CACHING = "knative.dev/serving", "knative.dev/networking", "knative.dev/caching"
PROGRAMS = ("activator", "autoscaler", "controller", "queue", "webhook")
PROGRAM = ROOT / "benchmarks" / "programs" / "zero.py"
PLAIN = ROOT / "benchmarks" / "programs" / "zero_plain.py"
USER = "remora.dev/zero-plain:1"
"""The image of Knative's application: that of Remora's pods, with the program in it."""


def knative(program: str) -> str:
    """Return the image of one of Knative's programs; of that registry it asks for no digest."""
    return f"dev.local/knative-{program}:{KNATIVE}"


def sources(module: str = SERVING) -> Path:
    """Return the folder of a module of Knative's, of the version that Serving asks for; raises CommandFailed."""
    said = run("go", "mod", "download", "-json", f"{SERVING}@{KNATIVE}", cwd=Path("/"))
    serving = Path(json.loads(said)["Dir"])
    if module == SERVING:
        return serving
    run("go", "mod", "download", module, cwd=serving)
    return Path(run("go", "list", "-m", "-f", "{{.Dir}}", module, cwd=serving).strip())


def program(name: str) -> Path:
    """Return one static program, built when it is not there; raises CommandFailed."""
    target = Settings.read().cache / f"knative-{KNATIVE}" / name
    if not target.exists():
        with step(f"building Knative {KNATIVE}: {name}", "minutes on 2 cores, seconds when Go has it cached"):
            binaries.build(sources() / "cmd" / name, target)
    return target


@contextmanager
def recipes() -> Iterator[list[Recipe]]:
    """Give all recipes, whose contexts last as long as the block."""
    with TemporaryDirectory() as folder:
        yield [*(_of_program(Path(folder, it), it) for it in PROGRAMS), _of_user(Path(folder, "user"))]


def _of_program(context: Path, name: str) -> Recipe:
    context.mkdir()
    copy = shutil.copy(program(name), context / name)
    dockerfile = context / "Dockerfile"
    # As its own images: the program, and an unprivileged user.
    dockerfile.write_text(f'FROM scratch\nCOPY {name} /{name}\nUSER 65532:65532\nENTRYPOINT ["/{name}"]\n')
    return Recipe(knative(name), dockerfile, context, (Path(copy),))


def _of_user(context: Path) -> Recipe:
    context.mkdir()
    copy = shutil.copy(PLAIN, context)
    below = context / "below"
    below.write_text(next(it for it in ours() if it.image == RUNTIME).fingerprint())
    dockerfile = context / "Dockerfile"
    dockerfile.write_text(f"FROM {RUNTIME}\nCOPY {PLAIN.name} /opt/program/\nENV PYTHONPATH=/opt/program\n")
    return Recipe(USER, dockerfile, context, (Path(copy), below))
