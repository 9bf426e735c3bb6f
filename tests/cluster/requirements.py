"""Requirements: can this machine host the cluster, and if not, what is missing?

`missing` is pure and answers in one sentence; `look` gathers the facts that it judges.
The first question that `up` and the pytest fixture ask.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from .commands import run, succeeds
from .packages import missing_packages

NEEDED_GO = (1, 24)
NEEDED_DISK_GIB = 10
NEEDED_MEMORY_GIB = 3


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found on a machine."""

    system: str
    is_root: bool
    go: tuple[int, int] | None
    """Version of the Go tool chain."""
    has_apt: bool
    packages_missing: tuple[str, ...]
    filesystems: frozenset[str]
    has_cgroups: bool
    can_make_namespaces: bool
    disk_gib: float
    memory_gib: float
    is_built: bool
    """Whether our binaries are cached, so that Go is not needed."""


def missing(facts: Facts) -> str | None:
    """Return the first thing that keeps this machine from hosting a bare cluster, or None."""
    if facts.system != "Linux":
        return f"a Kubernetes node needs Linux, and this is {facts.system}"
    if not facts.is_root:
        return "setting up network namespaces and cgroups needs root: run it with sudo"
    if not facts.is_built:
        needed = ".".join(map(str, NEEDED_GO))
        if facts.go is None:
            return f"Kubernetes is built from source and there is no Go: install Go {needed} or later (go.dev/dl)"
        if facts.go < NEEDED_GO:
            found = ".".join(map(str, facts.go))
            return f"Kubernetes is built with Go {needed} or later, and this is Go {found}: install a later one"
    if facts.packages_missing and not facts.has_apt:
        return f"there is no apt-get to install {', '.join(facts.packages_missing)} with"
    if "overlay" not in facts.filesystems:
        return "the kernel has no overlayfs, which containerd unpacks images with"
    if not facts.has_cgroups:
        return "no cgroups are mounted at /sys/fs/cgroup"
    if not facts.can_make_namespaces:
        return "this process may not make network namespaces (CAP_SYS_ADMIN is missing)"
    if facts.disk_gib < NEEDED_DISK_GIB:
        return f"the cache folder has {facts.disk_gib:.0f} GiB of free disk, and {NEEDED_DISK_GIB} are needed"
    if facts.memory_gib < NEEDED_MEMORY_GIB:
        return f"the machine has {facts.memory_gib:.0f} GiB of memory, and {NEEDED_MEMORY_GIB} are needed"
    return None


def look(cache: Path, *, is_built: bool) -> Facts:
    """Look at this machine. Changes nothing."""
    return Facts(
        system=platform.system(),
        is_root=os.geteuid() == 0,
        go=_go(),
        has_apt=shutil.which("apt-get") is not None,
        packages_missing=missing_packages(),
        filesystems=_filesystems(),
        has_cgroups=Path("/sys/fs/cgroup/memory").is_dir() or Path("/sys/fs/cgroup/cgroup.controllers").is_file(),
        can_make_namespaces=succeeds("unshare", "--net", "true"),
        disk_gib=shutil.disk_usage(_existing(cache)).free / 2**30,
        memory_gib=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30,
        is_built=is_built,
    )


def parse_go(version: str) -> tuple[int, int] | None:
    """Example: "go version go1.26.8 linux/amd64" → (1, 26)."""
    found = re.search(r"\bgo(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else None


def _go() -> tuple[int, int] | None:
    return parse_go(run("go", "version")) if shutil.which("go") else None


def _filesystems() -> frozenset[str]:
    listing = Path("/proc/filesystems")
    if not listing.exists():
        return frozenset()
    if "overlay" not in listing.read_text():
        succeeds("modprobe", "overlay")
    return frozenset(line.split()[-1] for line in listing.read_text().splitlines())


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)
