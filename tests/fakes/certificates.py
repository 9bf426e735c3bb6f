"""Certificates for a loopback server, made by openssl, which takes a moment."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate that signs itself, and its key, in PEM."""

    certificate: Path
    key: Path


def pair(folder: Path, name: str = "server", password: str = "") -> Pair:
    """Make a certificate for 127.0.0.1 and localhost."""
    made = Pair(folder / f"{name}.crt", folder / f"{name}.key")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    secret = ("-passout", f"pass:{password}") if password else ("-nodes",)
    names = ("-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost")
    where = ("-keyout", str(made.key), "-out", str(made.certificate))
    subprocess.run(
        ["openssl", "req", "-x509", *curve, *secret, "-days", "2", *names, *where], check=True, capture_output=True
    )
    return made
