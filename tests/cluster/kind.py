"""Kind: the cluster in containers, where a Docker engine answers. One of the two backends of `Cluster`.

It needs `docker`, `kind`, `kubectl` and `helm` on the machine, and writes a kubeconfig of its own: neither the
user's kubeconfig nor his current context changes. What only tests need, `outside`, also needs root and an engine
on this very machine.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .commands import ClusterError, run, succeeds
from .progress import step
from .recipes import REPOSITORY, Recipe, ours
from .settings import Settings
from .topology import RESOLVER, with_names
from .waiting import until

NAME = "remora"
CONTROL_PLANE = f"{NAME}-control-plane"
WORKERS = (f"{NAME}-worker", f"{NAME}-worker2")
"""What kind calls the nodes of kind-config.yaml that take pods."""
PROGRAMS = ("kind", "kubectl", "helm")
SOURCES = "dev.remora.sources"
"""Label of our images with the digest of what they were built from."""


def missing(*, engine: bool, absent: Sequence[str]) -> str | None:
    """Say in one sentence why kind cannot be used, or return None."""
    if not engine:
        return "no Docker engine answers `docker info`"
    return f"a Docker engine answers, but {', '.join(absent)} must be installed beside it" if absent else None


def stopped(states: Mapping[str, str]) -> tuple[str, ...]:
    """Return the nodes whose containers, by name and state, do not run; raise ClusterError where one is gone."""
    gone = [name for name in (CONTROL_PLANE, *WORKERS) if name not in states]
    if gone:
        raise ClusterError(
            f"the kind cluster {NAME!r} lost {', '.join(gone)}: take it down (`down`) and bring it up again"
        )
    return tuple(name for name in (CONTROL_PLANE, *WORKERS) if states[name] != "running")


@dataclass(frozen=True, slots=True)
class Kind:
    """Kubernetes as `kind create cluster --config kind-config.yaml` makes it, with a kubeconfig of our own."""

    settings: Settings

    @property
    def kubeconfig(self) -> Path:
        return self.settings.cache / "kind" / "kubeconfig"

    @property
    def nodes(self) -> tuple[str, ...]:
        return WORKERS

    @property
    def kubectl(self) -> str:
        return "kubectl"

    @property
    def helm(self) -> str:
        return "helm"

    def missing(self) -> str | None:
        absent = [program for program in PROGRAMS if shutil.which(program) is None]
        return missing(engine=succeeds("docker", "info"), absent=absent)

    def is_up(self) -> bool:
        """Whether it is there, made by us, and every node of it runs."""
        if not self.kubeconfig.exists() or not self._exists():
            return False
        states = self._states()
        return all(states.get(name) == "running" for name in (CONTROL_PLANE, *WORKERS))

    def up(self) -> None:
        if not self._exists():
            self._create()
        elif not self.kubeconfig.exists():
            raise ClusterError(
                f"there is a kind cluster {NAME!r} that was not made from here: "
                f"if nobody needs it, `kind delete cluster --name {NAME}`"
            )
        elif names := stopped(self._states()):
            with step(f"starting {', '.join(names)}"):
                run("docker", "start", *names)
        # kind waits for the control plane alone, and after a start nobody has waited for anything.
        with step("waiting for nodes and DNS"):
            # An API server that was started again knows nobody's rights for some seconds.
            nodes = ("wait", "--for=condition=Ready", "node", "--all", "--timeout=60s")
            until(
                lambda: self._answers(*nodes), what=f"the nodes of the kind cluster {NAME!r} are Ready", timeout_s=180
            )
            self._kubectl("-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=120s")
        self.build_images()
        self.load(self.loaded())

    def down(self) -> None:
        """Delete the cluster that `up` made, and no other of that name."""
        if not self.kubeconfig.exists():
            return
        with step("deleting the kind cluster"):
            run(*self._kind("delete", "cluster"))
        self.kubeconfig.unlink(missing_ok=True)

    def status(self) -> str:
        if not self.is_up():
            return "there is no cluster, or not the whole of it; `up` brings it up"
        return "\n".join([f"kubeconfig: {self.kubeconfig}", "", self._kubectl("get", "nodes,pods", "-A", "-o", "wide")])

    def build_images(self) -> None:
        for recipe in ours():
            self.build(recipe)

    def build(self, recipe: Recipe) -> None:
        """Build it unless the engine has one of the same inputs, which its label tells."""
        wanted = recipe.fingerprint()
        label = f'{{{{index .Config.Labels "{SOURCES}"}}}}'
        if run("docker", "image", "inspect", "--format", label, recipe.image, check=False).strip() == wanted:
            return
        with step(f"building {recipe.image}", "seconds after a change of code, some minutes after one of dependencies"):
            said = ("--quiet", "--label", f"{SOURCES}={wanted}")
            run("docker", "build", *said, "-f", recipe.dockerfile, "-t", recipe.image, recipe.context)

    def take(self, names: Sequence[str]) -> None:
        """Nothing to do: kind loads from the engine itself."""

    def load(self, names: Sequence[str]) -> None:
        """Kind leaves out nodes that hold the image already. No pod of ours runs on the control plane."""
        for name in names:
            with step(f"loading {name}"):
                run("kind", "load", "docker-image", "--name", NAME, "--nodes", ",".join(WORKERS), name)

    def loaded(self) -> tuple[str, ...]:
        return tuple(recipe.image for recipe in ours())

    def on_node(self, name: str, argv: Sequence[str]) -> list[str]:
        return ["docker", "exec", name, *argv]

    def outside(self, argv: Sequence[str]) -> list[str]:
        """On the control plane's network, where no pod of ours runs, with this machine's files and programs."""
        pid = run("docker", "inspect", "--format", "{{.State.Pid}}", CONTROL_PLANE).strip()
        resolver = self.kubeconfig.with_name("resolv.conf")
        resolver.write_text(RESOLVER)
        return ["nsenter", f"--net=/proc/{pid}/ns/net", *with_names(resolver, argv)]

    def forward(self, namespace: str, service: str, port: int, local: int) -> list[str]:
        login = f"--kubeconfig={self.kubeconfig}"
        return ["kubectl", login, "-n", namespace, "port-forward", f"service/{service}", f"{local}:{port}"]

    def _create(self) -> None:
        self.kubeconfig.parent.mkdir(parents=True, exist_ok=True)
        self.kubeconfig.unlink(missing_ok=True)
        with step("creating the kind cluster", "1 to 3 min"):
            config = REPOSITORY / "kind-config.yaml"
            run(*self._kind("create", "cluster"), "--config", config, "--wait", "180s")

    def _exists(self) -> bool:
        return NAME in run("kind", "get", "clusters", check=False).split()

    def _states(self) -> dict[str, str]:
        """Every node container of the cluster and its state, as `running` or `exited`."""
        ours_alone = f"label=io.x-k8s.kind.cluster={NAME}"
        listing = run("docker", "ps", "--all", "--filter", ours_alone, "--format", "{{json .}}")
        found = [json.loads(line) for line in listing.splitlines()]
        return {each["Names"]: each["State"] for each in found}

    def _kubectl(self, *words: str) -> str:
        return run("kubectl", f"--kubeconfig={self.kubeconfig}", *words)

    def _answers(self, *words: str) -> bool:
        return succeeds("kubectl", f"--kubeconfig={self.kubeconfig}", *words)

    def _kind(self, *words: str) -> tuple[str, ...]:
        return ("kind", *words, "--name", NAME, "--kubeconfig", str(self.kubeconfig))
