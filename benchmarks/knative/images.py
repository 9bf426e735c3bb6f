"""Knative's programs, built from its Go module, and the images of both sides."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.peers import go
from benchmarks.sides import ROOT
from tests.cluster.commands import run
from tests.cluster.recipes import RUNTIME, Recipe, ours

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
    serving = go.module(SERVING, KNATIVE)
    if module == SERVING:
        return serving
    run("go", "mod", "download", module, cwd=serving)
    return Path(run("go", "list", "-m", "-f", "{{.Dir}}", module, cwd=serving).strip())


def program(name: str) -> Path:
    """Return one of Knative's programs; raises CommandFailed."""
    hint = "minutes on 2 cores, seconds when Go has it cached"
    return go.program(f"knative-{KNATIVE}", name, sources() / "cmd" / name, hint)


@contextmanager
def recipes() -> Iterator[list[Recipe]]:
    """Give all recipes, whose contexts last as long as the block."""
    with TemporaryDirectory() as folder:
        yield [
            *(go.recipe(knative(it), program(it), Path(folder, it)) for it in PROGRAMS),
            _of_user(Path(folder, "user")),
        ]


def _of_user(context: Path) -> Recipe:
    context.mkdir()
    copy = shutil.copy(PLAIN, context)
    below = context / "below"
    below.write_text(next(it for it in ours() if it.image == RUNTIME).fingerprint())
    dockerfile = context / "Dockerfile"
    dockerfile.write_text(f"FROM {RUNTIME}\nCOPY {PLAIN.name} /opt/program/\nENV PYTHONPATH=/opt/program\n")
    return Recipe(USER, dockerfile, context, (Path(copy), below))
