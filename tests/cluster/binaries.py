"""Binaries: Kubernetes, CoreDNS and Helm, built from Go modules once and cached by version."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from .commands import run
from .progress import step

KUBERNETES = "v1.34.4"
COREDNS = "v1.12.4"
HELM = "v3.19.0"
COMPONENTS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubelet",
    "kubectl",
)
SOURCES = Path(__file__).parent / "go"


@dataclass(frozen=True, slots=True)
class Binaries:
    """Where the programs are below a cache folder, whether they are built yet or not."""

    cache: Path

    @property
    def kube(self) -> Path:
        return self.cache / f"kube-{KUBERNETES}"

    @property
    def coredns(self) -> Path:
        return self.cache / f"coredns-{COREDNS}" / "coredns"

    @property
    def helm(self) -> Path:
        return self.cache / f"helm-{HELM}" / "helm"

    def component(self, name: str) -> Path:
        """The program of that name: a link to the one file that is all of Kubernetes."""
        return self.kube / name

    def are_built(self) -> bool:
        return (
            self.helm.exists()
            and _is_current(self.kube / "kube", SOURCES / "kube")
            and _is_current(self.coredns, SOURCES / "coredns")
        )

    def build(self) -> None:
        """Build what is not there, or whose source has changed."""
        kube = self.kube / "kube"
        if not _is_current(kube, SOURCES / "kube"):
            with step(f"building Kubernetes {KUBERNETES}", "6 min on 2 cores, seconds when Go has it cached"):
                _build(SOURCES / "kube", kube, version_flags(KUBERNETES))
        for name in COMPONENTS:
            link = self.component(name)
            if not link.is_symlink():
                link.symlink_to("kube")
        if not _is_current(self.coredns, SOURCES / "coredns"):
            with step(f"building CoreDNS {COREDNS}", "1 min"):
                _build(SOURCES / "coredns", self.coredns, "")
        if not self.helm.exists():
            with step(f"building Helm {HELM}", "1 min"):
                run(
                    *("env", f"GOBIN={self.helm.parent}", "CGO_ENABLED=0", "go", "install", "-trimpath"),
                    *("-ldflags", f"-s -w -X helm.sh/helm/v3/internal/version.version={HELM}"),
                    f"helm.sh/helm/v3/cmd/helm@{HELM}",
                )


def version_flags(version: str) -> str:
    """What makes the components say, and believe, which version they are."""
    major, minor = version.removeprefix("v").split(".")[:2]
    return " ".join(
        f"-X {package}.{name}={value}"
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        for name, value in (("gitVersion", version), ("gitMajor", major), ("gitMinor", minor))
    )


def build(source: Path, target: Path, flags: str = "") -> None:
    """Build the Go program of a folder. The target is there once it is whole; raises CommandFailed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    built = target.with_name("unfinished")
    run(
        *("env", "CGO_ENABLED=0", "go", "build", "-trimpath", "-buildvcs=false"),
        *("-ldflags", f"-s -w {flags}", "-o", built, "."),
        cwd=source,
    )
    built.rename(target)


def _build(source: Path, target: Path, flags: str) -> None:
    build(source, target, flags)
    _stamp(target).write_text(_digest(source))


def _is_current(target: Path, source: Path) -> bool:
    stamp = _stamp(target)
    return target.exists() and stamp.exists() and stamp.read_text() == _digest(source)


def _stamp(target: Path) -> Path:
    return target.with_name("source.sha256")


def _digest(source: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(source.iterdir()):
        digest.update(file.read_bytes())
    return digest.hexdigest()
