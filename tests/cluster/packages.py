"""Packages: what the cluster takes from Debian, installed when it is not there."""

from __future__ import annotations

import shutil
from pathlib import Path

from .commands import run
from .progress import step

# One program, or file, of each package tells whether it is there.
WITNESSES = {
    "buildah": "buildah",
    "conntrack": "conntrack",
    "containerd": "containerd",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "debootstrap": "debootstrap",
    "gcc": "gcc",
    "iproute2": "ip",
    "iptables": "iptables",
    "libc6-dev": "/usr/include/stdio.h",
    "nftables": "nft",
    "openssl": "openssl",
    "procps": "sysctl",
    "runc": "runc",
    "socat": "socat",
    "util-linux": "nsenter",
}


def missing_packages() -> tuple[str, ...]:
    return tuple(name for name, witness in WITNESSES.items() if not _is_there(witness))


def install() -> None:
    """Install what is missing."""
    names = missing_packages()
    if not names:
        return
    with step(f"installing {', '.join(names)}", "20 s"):
        run("apt-get", "update", "-q")
        run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-qy", "--no-install-recommends", *names)


def _is_there(witness: str) -> bool:
    return Path(witness).exists() if witness.startswith("/") else shutil.which(witness) is not None
