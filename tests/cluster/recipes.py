"""Recipes: our images, and what each is made from.

Pure but for reading files: a recipe's fingerprint is that of its inputs, so nothing is
built, and nothing travels, when nothing has changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
BASE = "docker.io/library/debian:bookworm-slim"
PAUSE = "localhost/pause:1"
COREDNS = "localhost/coredns:1"
RUNTIME = "remora.dev/runtime:dev"
OPERATOR = "remora.dev/operator:dev"


@dataclass(frozen=True, slots=True)
class Recipe:
    """An image of ours, as its Dockerfile makes it."""

    image: str
    dockerfile: Path
    context: Path
    inputs: tuple[Path, ...]

    def fingerprint(self) -> str:
        return fingerprint(self.context, (self.dockerfile, *self.inputs))


def ours(repository: Path = REPOSITORY) -> tuple[Recipe, ...]:
    """The images that tests are about."""
    api = repository / "crds" / "remora_api"
    runtime, operator = repository / "runtime", repository / "operator"
    return (
        Recipe(RUNTIME, runtime / "Dockerfile", repository, (runtime / "requirements.lock", api, runtime / "remora")),
        Recipe(
            OPERATOR,
            operator / "Dockerfile",
            repository,
            (operator / "requirements.lock", api, operator / "remora_operator"),
        ),
    )


def fingerprint(root: Path, inputs: tuple[Path, ...]) -> str:
    """Digest of names, modes and contents; compiled Python does not count."""
    digest = hashlib.sha256()
    for file in sorted(file for path in inputs for file in _files(path)):
        mode = file.stat().st_mode & 0o777
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{file.relative_to(root)} {mode:o} {content}\n".encode())
    return digest.hexdigest()


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    yield from (file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
