"""Kind: the cluster in containers, where a Docker engine answers. One of the two backends of `Cluster`.

Short, and less tried than `bare`: it needs `docker`, `kind`, `kubectl` and `helm` on the machine.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .commands import run, succeeds
from .progress import step
from .recipes import REPOSITORY, Recipe, ours
from .settings import Settings

NAME = "remora"
PROGRAMS = ("kind", "kubectl", "helm")


def has_engine() -> bool:
    return succeeds("docker", "info")


@dataclass(frozen=True, slots=True)
class Kind:
    """Kubernetes as `kind create cluster --config kind-config.yaml` makes it, with a kubeconfig of our own."""

    settings: Settings

    @property
    def kubeconfig(self) -> Path:
        return self.settings.cache / "kind" / "kubeconfig"

    @property
    def nodes(self) -> tuple[str, ...]:
        return (f"{NAME}-worker", f"{NAME}-worker2")

    @property
    def kubectl(self) -> str:
        return "kubectl"

    @property
    def helm(self) -> str:
        return "helm"

    def missing(self) -> str | None:
        if not has_engine():
            return "no Docker engine answers `docker info`"
        absent = [program for program in PROGRAMS if shutil.which(program) is None]
        return f"a Docker engine answers, but {', '.join(absent)} must be installed beside it" if absent else None

    def is_up(self) -> bool:
        return self.kubeconfig.exists() and NAME in run("kind", "get", "clusters", check=False).split()

    def up(self) -> None:
        if not self.is_up():
            self.kubeconfig.parent.mkdir(parents=True, exist_ok=True)
            with step("creating the kind cluster", "1 min"):
                config = REPOSITORY / "kind-config.yaml"
                run(*self._kind("create", "cluster"), "--config", config, "--wait", "120s")
        self.build_images()
        self.load(self.loaded())

    def down(self) -> None:
        run(*self._kind("delete", "cluster"))
        self.kubeconfig.unlink(missing_ok=True)

    def status(self) -> str:
        return run("docker", "ps", "--filter", f"label=io.x-k8s.kind.cluster={NAME}")

    def build_images(self) -> None:
        for recipe in ours():
            self.build(recipe)

    def build(self, recipe: Recipe) -> None:
        with step(f"building {recipe.image}"):
            run("docker", "build", "--quiet", "-f", recipe.dockerfile, "-t", recipe.image, recipe.context)

    def take(self, names: Sequence[str]) -> None:
        """Nothing to do: kind loads from the engine itself."""

    def load(self, names: Sequence[str]) -> None:
        for name in names:
            with step(f"loading {name}"):
                run("kind", "load", "docker-image", "--name", NAME, name)

    def loaded(self) -> tuple[str, ...]:
        return tuple(recipe.image for recipe in ours())

    def on_node(self, name: str, argv: Sequence[str]) -> list[str]:
        return ["docker", "exec", name, *argv]

    def outside(self, argv: Sequence[str]) -> list[str]:
        """In the control plane's container, which must hold the program."""
        return ["docker", "exec", f"{NAME}-control-plane", *argv]

    def forward(self, namespace: str, service: str, port: int, local: int) -> list[str]:
        login = f"--kubeconfig={self.kubeconfig}"
        return ["kubectl", login, "-n", namespace, "port-forward", f"service/{service}", f"{local}:{port}"]

    def _kind(self, *words: str) -> tuple[str, ...]:
        return ("kind", *words, "--name", NAME, "--kubeconfig", str(self.kubeconfig))
