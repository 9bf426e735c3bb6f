"""Backend: what a `Cluster` asks of whatever it runs on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from .recipes import Recipe


class Backend(Protocol):
    """Bare Debian, or kind. The argument lists that it returns are for the caller to run."""

    @property
    def kubeconfig(self) -> Path: ...
    @property
    def nodes(self) -> tuple[str, ...]: ...
    @property
    def kubectl(self) -> str: ...
    @property
    def helm(self) -> str: ...

    def missing(self) -> str | None:
        """Say in one sentence what this machine lacks to host it."""

    def is_up(self) -> bool: ...

    def up(self) -> None:
        """Bring it up with all images loaded; of a running one, heal what has died."""

    def down(self) -> None:
        """Leave nothing behind but caches."""

    def status(self) -> str:
        """What of it is there, for people."""

    def build_images(self) -> None:
        """Build the images whose inputs have changed."""

    def build(self, recipe: Recipe) -> None:
        """Build one more image, if its inputs have changed."""

    def take(self, names: Sequence[str]) -> None:
        """Fetch images as the builder has them now."""

    def load(self, names: Sequence[str]) -> None:
        """Make every node hold these images."""

    def loaded(self) -> tuple[str, ...]:
        """The images that every `up` loads."""

    def on_node(self, name: str, argv: Sequence[str]) -> list[str]: ...
    def outside(self, argv: Sequence[str]) -> list[str]: ...
    def forward(self, namespace: str, service: str, port: int, local: int) -> list[str]: ...
