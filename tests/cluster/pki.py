"""PKI: a certificate authority for one cluster's life, and who may say to be whom.

By openssl, in about a second; made once, before anything starts.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from .commands import run
from .topology import API_SERVICE_IP, API_URL, CONTROL_PLANE_IP, NODES

ADMIN = "admin"
CONTROLLERS = "controllers"
SCHEDULER = "scheduler"
PROXY = "proxy"
API_SERVER = "apiserver"
API_SERVER_CLIENT = "apiserver-kubelet"


@dataclass(frozen=True, slots=True)
class Leaf:
    """One certificate to be issued."""

    name: str
    subject: str
    names: str = ""
    """Subject alternative names as openssl writes them."""
    logs_in: bool = True
    """Whether a kubeconfig is written for it."""


def leaves() -> list[Leaf]:
    api_names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    api_ips = ("127.0.0.1", API_SERVICE_IP, CONTROL_PLANE_IP)
    alternatives = ",".join([*(f"DNS:{name}" for name in api_names), *(f"IP:{ip}" for ip in api_ips)])
    return [
        Leaf(API_SERVER, "/CN=kube-apiserver", alternatives, logs_in=False),
        Leaf(API_SERVER_CLIENT, "/O=system:masters/CN=apiserver-kubelet", logs_in=False),
        Leaf(ADMIN, "/O=system:masters/CN=admin"),
        Leaf(CONTROLLERS, "/CN=system:kube-controller-manager"),
        Leaf(SCHEDULER, "/CN=system:kube-scheduler"),
        Leaf(PROXY, "/CN=system:kube-proxy"),
        *(
            Leaf(node.name, f"/O=system:nodes/CN=system:node:{node.name}", f"DNS:{node.name},IP:{node.ip}")
            for node in NODES
        ),
    ]


@dataclass(frozen=True, slots=True)
class Pki:
    folder: Path

    def certificate(self, name: str) -> Path:
        return self.folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.key"

    def kubeconfig(self, name: str) -> Path:
        """How a component inside our namespaces logs in."""
        return self.folder / f"{name}.conf"

    @property
    def authority(self) -> Path:
        return self.certificate("ca")

    def issue(self) -> None:
        """Make whatever is not there."""
        done = self.folder / "done"
        if done.exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        os.chmod(self.folder, 0o700)
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        run(
            *("openssl", "req", "-x509", *curve, "-days", "3650", "-subj", "/CN=remora-test"),
            *("-keyout", self.key("ca"), "-out", self.authority),
        )
        for leaf in leaves():
            self._issue(leaf, curve)
            if leaf.logs_in:
                write_kubeconfig(self.kubeconfig(leaf.name), API_URL, self, leaf.name)
        run("openssl", "genrsa", "-out", self.key("accounts"), "2048")
        run("openssl", "rsa", "-in", self.key("accounts"), "-pubout", "-out", self.folder / "accounts.pub")
        done.touch()

    def _issue(self, leaf: Leaf, curve: tuple[str, ...]) -> None:
        request, extensions = self.folder / "request", self.folder / "extensions"
        extensions.write_text(
            "extendedKeyUsage=serverAuth,clientAuth\n" + (f"subjectAltName={leaf.names}\n" if leaf.names else "")
        )
        run("openssl", "req", *curve, "-subj", leaf.subject, "-keyout", self.key(leaf.name), "-out", request)
        run(
            *("openssl", "x509", "-req", "-in", request, "-days", "3650", "-extfile", extensions),
            *("-CA", self.authority, "-CAkey", self.key("ca"), "-CAcreateserial"),
            *("-out", self.certificate(leaf.name)),
        )


def write_kubeconfig(path: Path, server: str, pki: Pki, user: str, *, context: str = "remora-test") -> None:
    """Write a kubeconfig (JSON is YAML) that names the files of `pki`."""
    cluster = {"server": server, "certificate-authority": str(pki.authority)}
    login = {"client-certificate": str(pki.certificate(user)), "client-key": str(pki.key(user))}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": context, "cluster": cluster}],
        "users": [{"name": user, "user": login}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": user}}],
        "current-context": context,
    }
    path.write_text(json.dumps(content, indent=1) + "\n")
    path.chmod(0o600)
