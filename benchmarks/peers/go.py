"""Programs of Go modules: their sources, the static program, and an image of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.cluster import binaries
from tests.cluster.commands import run
from tests.cluster.progress import step
from tests.cluster.recipes import Recipe
from tests.cluster.settings import Settings


def module(name: str, version: str) -> Path:
    """Return a module's folder, downloaded by Go into its cache, read-only; raises CommandFailed."""
    said = run("go", "mod", "download", "-json", f"{name}@{version}", cwd=Path("/"))
    return Path(json.loads(said)["Dir"])


def program(of: str, name: str, sources: Path, hint: str) -> Path:
    """Return one static program, kept under the name `of` and built when it is not there; raises CommandFailed."""
    target = Settings.read().cache / of / name
    if not target.exists():
        with step(f"building {of}: {name}", hint):
            # In its own folder: `go install MODULE@VERSION` would ask for a list of all versions, too.
            binaries.build(sources, target)
    return target


def recipe(image: str, program: Path, context: Path) -> Recipe:
    """Return how an image is made as those projects make theirs: the program, and an unprivileged user."""
    context.mkdir()
    name = program.name
    copy = shutil.copy(program, context / name)
    dockerfile = context / "Dockerfile"
    dockerfile.write_text(f'FROM scratch\nCOPY {name} /{name}\nUSER 65532:65532\nENTRYPOINT ["/{name}"]\n')
    return Recipe(image, dockerfile, context, (Path(copy),))
