"""Bare: the cluster on this very machine, without a container engine. One of the two backends of `Cluster`.

Order of `up`: binaries → namespaces and certificates → control plane → nodes → images that are built
already → DNS → images that have to be built. Each stage does only what is not so yet; a cluster that lost
a part which cannot be replaced alone (a namespace, the machine's boot) is cleared first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.ports import free_port

from . import cgroups, clearing, control_plane, network, node, packages, store
from .archive import Layout
from .binaries import Binaries
from .commands import ClusterError, run, succeeds
from .holder import Holder
from .images import Images
from .loading import load
from .pki import ADMIN, Pki, write_kubeconfig
from .places import Places
from .processes import Daemon, Processes, boot_id
from .progress import step
from .recipes import Recipe
from .requirements import look, missing
from .settings import Settings
from .topology import CONTROL_PLANE, NODES, RESOLVER, Node, with_names, within
from .waiting import listens, until

SYSTEM = Path(__file__).parent / "manifests" / "system.yaml"


@dataclass(frozen=True, slots=True)
class Bare:
    """Kubernetes as processes in network namespaces of ours."""

    settings: Settings

    @property
    def places(self) -> Places:
        return Places(self.settings.cache)

    @property
    def binaries(self) -> Binaries:
        return Binaries(self.settings.cache)

    @property
    def processes(self) -> Processes:
        return Processes(self.places.processes, self.places.logs)

    # What `Cluster` asks of a backend.

    @property
    def kubeconfig(self) -> Path:
        return self.places.kubeconfig

    @property
    def nodes(self) -> tuple[str, ...]:
        return tuple(each.name for each in NODES)

    @property
    def kubectl(self) -> str:
        return str(self.binaries.component("kubectl"))

    @property
    def helm(self) -> str:
        return str(self.binaries.helm)

    def missing(self) -> str | None:
        return missing(look(self.settings.cache, is_built=self.binaries.are_built()))

    def is_up(self) -> bool:
        """Whether it was brought up in this boot and every daemon of it lives."""
        states = self.processes.alive()
        return self.kubeconfig.exists() and self._can_be_continued() and bool(states) and all(states.values())

    def up(self) -> None:
        Holder().check(self.settings.cache)
        packages.install()
        self.binaries.build()
        Images(self.places, self.binaries).build_system()
        if self._is_there() and not self._can_be_continued():
            with step("clearing what is left of an earlier cluster"):
                self._clear()
        Holder().take(self.settings.cache)
        with step("starting the control plane"):
            self._start_control_plane()
        with step("starting the nodes"), ThreadPoolExecutor() as pool:
            for done in [pool.submit(self._start_node, each) for each in NODES]:
                done.result()
        self.load(self.loaded())
        self._settle()
        # Last, so that code which does not build costs no more than its own image.
        self.build_images()
        self.load(self.loaded())

    def down(self) -> None:
        Holder().check(self.settings.cache)
        with step("taking the cluster down"):
            self._clear()
            Holder().leave(self.settings.cache)
        left = clearing.leftovers(self.places)
        if left:
            raise ClusterError(f"the cluster is down, but it left behind: {', '.join(left)}")

    def build_images(self) -> None:
        Images(self.places, self.binaries).build()

    def build(self, recipe: Recipe) -> None:
        Images(self.places, self.binaries).build_one(recipe)

    def take(self, names: Sequence[str]) -> None:
        for name in names:
            Images(self.places, self.binaries).take(name)

    def load(self, names: Sequence[str]) -> None:
        load(names, self.places)

    def loaded(self) -> tuple[str, ...]:
        return tuple(sorted(Layout(self.places.images).names()))

    def status(self) -> str:
        if not self._is_there():
            return "there is no cluster; `up` brings one up"
        states = [f"{name}: {'alive' if alive else 'DEAD'}" for name, alive in self.processes.alive().items()]
        nodes = run(
            self.kubectl, f"--kubeconfig={self.kubeconfig}", "get", "nodes,pods", "-A", "-o", "wide", check=False
        )
        return "\n".join([*states, f"logs: {self.places.logs}", f"kubeconfig: {self.kubeconfig}", "", nodes])

    def on_node(self, name: str, argv: Sequence[str]) -> list[str]:
        """On the node's network, with its containerd at hand; its files are this machine's."""
        chosen = {each.name: each for each in NODES}.get(name)
        if chosen is None:
            raise ClusterError(f"there is no node {name!r}: the nodes are {', '.join(self.nodes)}")
        address = f"CONTAINERD_ADDRESS={self.places.socket(chosen)}"
        return [*within(chosen.namespace), "env", address, f"CONTAINERD_NAMESPACE={store.NAMESPACE}", *argv]

    def outside(self, argv: Sequence[str]) -> list[str]:
        """In the control plane's namespace: no node, and yet Services, pods and their names are in reach."""
        return [*within(CONTROL_PLANE), *with_names(self.places.resolv_conf, argv)]

    def forward(self, namespace: str, service: str, port: int, local: int) -> list[str]:
        """A program that serves 127.0.0.1:`local` until it is ended."""
        template = "jsonpath={.spec.clusterIP}"
        ip = self._ask("-n", namespace, "get", "service", service, "-o", template)
        if ip in ("", "None"):
            raise ClusterError(f"Service {namespace}/{service} has no address of its own to forward to")
        return list(control_plane.forward_argv(local, ip, port))

    # The stages.

    def _start_control_plane(self) -> None:
        self.places.state.mkdir(parents=True, exist_ok=True)
        pki = Pki(self.places.pki)
        clearing.remember_folders(self.places)
        pki.issue()
        if not network.is_up():
            network.create()
        self.places.boot.write_text(boot_id())
        self.places.resolv_conf.write_text(RESOLVER)
        self._ensure(control_plane.first(self.places, self.binaries))
        until(lambda: control_plane.is_ready(self.places, self.binaries), what="the API server is ready", timeout_s=60)
        self._ensure(control_plane.then(self.places, self.binaries))
        port = self._port()
        self.processes.ensure(control_plane.forward(port))
        until(lambda: listens(port), what=f"the forward to the API server listens at {port}", timeout_s=30)
        write_kubeconfig(self.kubeconfig, f"https://127.0.0.1:{port}", pki, ADMIN)
        self._ask("apply", "-f", SYSTEM)

    def _start_node(self, each: Node) -> None:
        cgroups.create(each)
        node.write(each, self.places)
        self.processes.ensure(node.containerd(each, self.places))
        until(lambda: store.answers(each, self.places), what=f"containerd of {each.name} answers", timeout_s=30)
        self.processes.ensure(node.kubelet(each, self.places, self.binaries))
        self.processes.ensure(node.proxy(each, self.places, self.binaries))

    def _settle(self) -> None:
        with step("waiting for nodes and DNS"):
            # None of these is there at once, and without a service account no pod can be made.
            nodes = [f"node/{name}" for name in self.nodes]
            until(lambda: self._are_registered(nodes), what="nodes have registered", timeout_s=60)
            self._wait(*nodes, "--for=condition=Ready")
            self._wait("deployment/coredns", "-n", "kube-system", "--for=condition=Available")

    def _are_registered(self, nodes: Sequence[str]) -> bool:
        # containerd answers before its part for Kubernetes does. A kubelet that finds it so ends, and a node's init
        # starts it again.
        self._ensure(node.kubelet(each, self.places, self.binaries) for each in NODES)
        return self._has(*nodes, "serviceaccount/default")

    def _has(self, *objects: str) -> bool:
        return succeeds(self.kubectl, f"--kubeconfig={self.kubeconfig}", "get", *objects)

    def _wait(self, *words: str) -> None:
        self._ask("wait", *words, "--timeout=120s")

    def _ask(self, *words: str | Path, check: bool = True) -> str:
        return run(self.kubectl, f"--kubeconfig={self.kubeconfig}", *words, check=check)

    def _clear(self) -> None:
        clearing.end_processes(self.places, self.processes)
        with ThreadPoolExecutor() as pool:
            for done in [pool.submit(store.purge, each, self.places, self.processes) for each in NODES]:
                done.result()
        network.remove()
        clearing.remove_traces(self.places)

    def _is_there(self) -> bool:
        return self.places.state.exists() or network.is_there()

    def _can_be_continued(self) -> bool:
        """Whether its namespaces and its boot are still those it was brought up in."""
        boot = self.places.boot
        return network.is_up() and boot.exists() and boot.read_text() == boot_id()

    def _ensure(self, daemons: Iterable[Daemon]) -> None:
        for daemon in daemons:
            self.processes.ensure(daemon)

    def _port(self) -> int:
        """The port of the API server on loopback: chosen once, then kept for the cluster's life."""
        chosen = self.places.port
        if not chosen.exists():
            chosen.write_text(str(free_port()))
        return int(chosen.read_text())
