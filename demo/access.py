"""How the demo reaches a cluster: one small port, with an adapter for each kind of place."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol


class CommandFailed(Exception):
    """A command of kubectl, helm or docker failed; the message holds the command and what it said."""


class Access(Protocol):
    """What the demo needs of a cluster."""

    @property
    def kubectl_hint(self) -> str:
        """How the user calls kubectl on this cluster afterwards."""
        ...

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl and return what it printed; raises CommandFailed."""
        ...

    def helm(self, *arguments: str) -> str:
        """Run helm and return what it printed; raises CommandFailed."""
        ...

    def images(self) -> dict[str, str]:
        """Bring the two images to the cluster's nodes; return chart values that name them."""
        ...

    def outside(self, namespace: str, service: str, port: int) -> AbstractContextManager[str]:
        """Open a Service to this machine; yields its base URL on loopback."""
        ...


def run(*argv: str) -> str:
    """Run a command and return its standard output; raises CommandFailed with the last lines of what it said."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise CommandFailed(f"{argv[0]} is not on PATH; install it first") from error
    if done.returncode:
        tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
        raise CommandFailed(f"`{' '.join(argv)}` ended with {done.returncode}:\n{tail}")
    return done.stdout


@dataclass(frozen=True, slots=True)
class NamedContext:
    """A cluster of the user's, by its context in kubeconfig; nothing but this context is ever named."""

    context: str
    registry: str | None
    """Where images are pushed for it, as ``registry.example/me``; None for kind, whose nodes are loaded directly."""

    @property
    def kubectl_hint(self) -> str:
        return f"kubectl --context {self.context}"

    def kubectl(self, *arguments: str) -> str:
        return run("kubectl", "--context", self.context, *arguments)

    def helm(self, *arguments: str) -> str:
        return run("helm", "--kube-context", self.context, *arguments)

    def images(self) -> dict[str, str]:
        """Build both images with Docker, and push them to the registry or load them into kind."""
        values = {}
        for part, value in (("operator", "image.repository"), ("runtime", "runtimeImage.repository")):
            name = f"{self.registry or 'remora.dev'}/{part}"
            run("docker", "build", "-f", f"{part}/Dockerfile", "-t", f"{name}:dev", ".")
            if self.registry:
                run("docker", "push", f"{name}:dev")
            else:
                run("kind", "load", "docker-image", f"{name}:dev", "--name", self.context.removeprefix("kind-"))
            values[value] = name
            values[value.replace("repository", "tag")] = "dev"
        return values

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
