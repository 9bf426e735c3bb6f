"""A cluster of the user's as a place for the demo: by its context in kubeconfig, images by way of a registry."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from demo.access import CommandFailed, run
from tests.cluster.recipes import Recipe, ours

KIND = "kind-"
"""What kind puts before the name of a cluster to name its context."""
VALUES = ("runtimeImage", "image")
"""The chart's values for the images of `tests.cluster.recipes.ours`, in its order."""


@dataclass(frozen=True, slots=True)
class Image:
    """One of our images under the name by which a foreign cluster pulls it."""

    recipe: Recipe
    repository: str
    tag: str

    @classmethod
    def of(cls, recipe: Recipe, registry: str | None) -> Image:
        """Name it by what it is made from: nodes keep an image that they have under a name, so a tag never moves.

        Example: `remora.dev/runtime:dev` of sources with the digest 52ab…, for registry.example/me →
        `registry.example/me/runtime:dev-52ab…`; without a registry it stays `remora.dev/runtime:dev-52ab…`.
        """
        repository = recipe.image.rpartition(":")[0]
        if registry:
            repository = f"{registry.rstrip('/')}/{repository.rpartition('/')[2]}"
        return cls(recipe, repository, f"dev-{recipe.fingerprint()[:16]}")

    @property
    def name(self) -> str:
        return f"{self.repository}:{self.tag}"


def values(images: Sequence[Image]) -> dict[str, str]:
    """Return the chart's values that name those images."""
    named = zip(VALUES, images, strict=True)
    return {
        key: value
        for part, image in named
        for key, value in ((f"{part}.repository", image.repository), (f"{part}.tag", image.tag))
    }


@dataclass(frozen=True, slots=True)
class NamedContext:
    """Nothing but this context is ever named, whatever kubeconfig has as the current one."""

    context: str
    registry: str | None
    """Where images are pushed for it, as ``registry.example/me``; None for kind, whose nodes are loaded directly."""

    @classmethod
    def of(cls, context: str, registry: str | None) -> NamedContext:
        """Raises CommandFailed where there would be no way for images to get there."""
        if not registry and not context.startswith(KIND):
            raise CommandFailed(
                f"context {context} needs a registry that its nodes pull from and that `docker push` may write to: "
                f"make demo CONTEXT={context} REGISTRY=registry.example/me"
            )
        return cls(context, registry or None)

    @property
    def kubectl_hint(self) -> str:
        return f"kubectl --context {self.context}"

    @property
    def place_hint(self) -> str:
        return f"CONTEXT={self.context}" + (f" REGISTRY={self.registry}" if self.registry else "")

    def kubectl(self, *arguments: str) -> str:
        return run("kubectl", "--context", self.context, *arguments)

    def helm(self, *arguments: str) -> str:
        return run("helm", "--kube-context", self.context, *arguments)

    def images(self) -> dict[str, str]:
        """Build both images with Docker, and push them to the registry or load them into kind."""
        images = [Image.of(recipe, self.registry) for recipe in ours()]
        for image in images:
            recipe = image.recipe
            run("docker", "build", "--quiet", "-f", str(recipe.dockerfile), "-t", image.name, str(recipe.context))
            if self.registry:
                run("docker", "push", "--quiet", image.name)
            else:
                run("kind", "load", "docker-image", image.name, "--name", self.context.removeprefix(KIND))
        return values(images)

    @contextmanager
    def outside(self, namespace: str, service: str, port: int) -> Iterator[str]:
        """Open the Service by `kubectl port-forward`, for as long as the context is entered."""
        argv = ["kubectl", "--context", self.context, "-n", namespace, "port-forward", f"service/{service}", f":{port}"]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as forward:
            try:
                assert forward.stdout is not None
                line = forward.stdout.readline()
                if "127.0.0.1:" not in line:
                    raise CommandFailed(f"`{' '.join(argv)}` did not open a port: {line!r}")
                yield f"http://127.0.0.1:{line.split('127.0.0.1:')[1].split(' ')[0]}"
            finally:
                forward.terminate()
