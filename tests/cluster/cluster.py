"""Cluster: what tests hold in their hands. The same whether it runs on bare Debian or in kind.

Every command names the cluster's own kubeconfig, so no other cluster is ever touched.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.ports import free_port

from . import processes
from .backend import Backend
from .bare import Bare
from .commands import ClusterError, run
from .kind import Kind
from .reading import Reader
from .recipes import Recipe
from .settings import Settings
from .waiting import listens, until


class Cluster:
    """A test cluster of two nodes."""

    def __init__(self, backend: Backend, lock: Path) -> None:
        self.backend = backend
        self._lock = lock

    def __repr__(self) -> str:
        return f"<Cluster {type(self.backend).__name__.lower()} {self.kubeconfig}>"

    @property
    def kubeconfig(self) -> Path:
        return self.backend.kubeconfig

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of the nodes that pods run on."""
        return self.backend.nodes

    def missing(self) -> str | None:
        """One sentence on what this machine lacks to host it, or None."""
        return self.backend.missing()

    def is_up(self) -> bool:
        return self.backend.is_up()

    def up(self) -> None:
        """Bring it up with images built and loaded; quick when all is so already."""
        reason = self.missing()
        if reason is not None:
            raise ClusterError(f"this machine cannot host the test cluster: {reason}")
        with self._alone():
            self.backend.up()

    def down(self) -> None:
        """Take it down and leave nothing but caches; raise ClusterError while somebody has it for himself."""
        with self._alone(), self._unclaimed():
            self.backend.down()

    def reload(self) -> None:
        """Build the images whose inputs have changed, and bring them to the nodes."""
        with self._alone():
            self.backend.build_images()
            self.backend.load(self.backend.loaded())

    def build(self, recipe: Recipe) -> None:
        """Build one more image, if its inputs have changed, and bring it to the nodes."""
        with self._alone():
            self.backend.build(recipe)
            self.backend.load([recipe.image])

    def load(self, *images: str) -> None:
        """Bring images that the builder knows to the nodes."""
        with self._alone():
            self.backend.take(images)
            self.backend.load(images)

    def kubectl_argv(self, *words: str) -> list[str]:
        return [self.backend.kubectl, f"--kubeconfig={self.kubeconfig}", *words]

    def kubectl(self, *words: str, input: str | None = None, check: bool = True) -> str:
        """Return what kubectl prints; raise CommandFailed when it fails and `check` holds."""
        return run(*self.kubectl_argv(*words), input=input, check=check)

    def read(self, path: str, **parameters: str) -> dict[str, Any] | None:
        """Return an object by its path at the API server, None without one: as kubectl, in a hundredth of the time."""
        return self._reader.read(path, **parameters)

    @cached_property
    def _reader(self) -> Reader:
        return Reader(self.kubeconfig)

    def helm(self, *words: str, check: bool = True) -> str:
        return run(self.backend.helm, f"--kubeconfig={self.kubeconfig}", *words, check=check)

    def node_exec(self, node: str, *argv: str, check: bool = True) -> str:
        """Run a program on a node's network; `ctr` there talks to the node's containerd."""
        return run(*self.backend.on_node(node, argv), check=check)

    def command(self, *argv: str) -> list[str]:
        """Prefix a command so that it runs outside the cluster but on its network: Services and pods in reach."""
        return self.backend.outside(argv)

    @contextmanager
    def forward(self, namespace: str, service: str, port: int) -> Iterator[int]:
        """Give a port on 127.0.0.1 that leads to a Service, for as long as the block lasts."""
        local = free_port()
        argv = self.backend.forward(namespace, service, port, local)
        quiet = subprocess.DEVNULL  # kubectl tells of each connection; what goes wrong it says on the other pipe.
        with subprocess.Popen(argv, stdin=quiet, stdout=quiet, start_new_session=True) as process:
            identity = processes.identify(process.pid)
            try:
                until(lambda: listens(local), what=f"the forward to {namespace}/{service} listens", timeout_s=10)
                yield local
            finally:
                processes.stop([identity], patience_s=2)

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Have the cluster for oneself: whoever stops the operator or fills the nodes waits here for the others.

        It need not be up: who claims it first may bring it up.
        """
        self._claims.parent.mkdir(parents=True, exist_ok=True)
        with self._claims.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @property
    def _claims(self) -> Path:
        # Not among the cluster's own files, which are cleared while somebody has it.
        return self._lock.with_name("claim")

    @contextmanager
    def _unclaimed(self) -> Iterator[None]:
        """Let nobody claim it meanwhile; raise ClusterError when somebody has."""
        if not self._claims.exists():
            yield
            return
        with self._claims.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ClusterError(
                    f"tests have the cluster (their process holds {self._claims}): wait for its end, or end it"
                ) from None
            yield

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep two sessions from changing the cluster at the same time."""
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        with self._lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def running(settings: Settings | None = None) -> Cluster:
    """The cluster of this machine, up or not: `REMORA_CLUSTER`, else kind where it can be used, else bare.

    Raises ClusterError for a `REMORA_CLUSTER` that is neither `kind` nor `bare`.
    """
    chosen = settings or Settings.read()
    kind, bare = Kind(chosen), Bare(chosen)
    backend: Backend = kind if takes_kind(chosen.backend, kind.missing) else bare
    return Cluster(backend, chosen.cache / "lock")


def takes_kind(asked: str, kind_missing: Callable[[], str | None]) -> bool:
    """Whether kind is to be used and not bare; the machine is looked at only where nothing was asked for."""
    if asked not in ("", "kind", "bare"):
        raise ClusterError(f"REMORA_CLUSTER={asked} names no test cluster: it is `kind`, `bare`, or not set")
    return asked == "kind" or (not asked and kind_missing() is None)


def replace_process(argv: Sequence[str], kubeconfig: Path) -> None:
    """Become that program, with the cluster's kubeconfig. Does not return."""
    os.execvp("env", ["env", f"KUBECONFIG={kubeconfig}", *argv])
