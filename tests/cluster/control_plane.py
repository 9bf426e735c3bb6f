"""Control plane: the daemons in its namespace, and when each may start. The lists are pure."""

from __future__ import annotations

from .binaries import Binaries
from .commands import succeeds
from .pki import ADMIN, API_SERVER, API_SERVER_CLIENT, CONTROLLERS, SCHEDULER, Pki
from .places import Places
from .processes import Daemon
from .topology import API_PORT, CONTROL_PLANE, CONTROL_PLANE_IP, SERVICE_RANGE, within

ETCD = "http://127.0.0.1:2379"
ETCD_PEERS = "http://127.0.0.1:2380"


def first(places: Places, binaries: Binaries) -> list[Daemon]:
    """etcd and the API server."""
    pki = Pki(places.pki)
    etcd = (
        f"--data-dir={places.state / 'etcd'}",
        f"--listen-client-urls={ETCD}",
        f"--advertise-client-urls={ETCD}",
        f"--listen-peer-urls={ETCD_PEERS}",
        f"--initial-advertise-peer-urls={ETCD_PEERS}",
        f"--initial-cluster=default={ETCD_PEERS}",
        "--unsafe-no-fsync",  # A machine that crashes takes the whole cluster along anyway.
        "--log-level=warn",
    )
    api_server = (
        f"--etcd-servers={ETCD}",
        f"--advertise-address={CONTROL_PLANE_IP}",
        "--bind-address=0.0.0.0",
        f"--secure-port={API_PORT}",
        f"--cert-dir={places.state / 'apiserver'}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        f"--tls-cert-file={pki.certificate(API_SERVER)}",
        f"--tls-private-key-file={pki.key(API_SERVER)}",
        f"--client-ca-file={pki.authority}",
        f"--service-account-key-file={pki.folder / 'accounts.pub'}",
        f"--service-account-signing-key-file={pki.key('accounts')}",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--kubelet-client-certificate={pki.certificate(API_SERVER_CLIENT)}",
        f"--kubelet-client-key={pki.key(API_SERVER_CLIENT)}",
        f"--kubelet-certificate-authority={pki.authority}",
        "--kubelet-preferred-address-types=InternalIP",
        "--allow-privileged=true",
    )
    return [_daemon(binaries, "etcd", *etcd), _daemon(binaries, "kube-apiserver", *api_server)]


def then(places: Places, binaries: Binaries) -> list[Daemon]:
    """Controller manager and scheduler: only once `is_ready`, for they exit when they find no RBAC."""
    pki = Pki(places.pki)
    controllers = (
        *_logs_in(pki, CONTROLLERS),
        f"--service-account-private-key-file={pki.key('accounts')}",
        f"--root-ca-file={pki.authority}",
        "--use-service-account-credentials=true",
        f"--cluster-signing-cert-file={pki.authority}",
        f"--cluster-signing-key-file={pki.key('ca')}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        f"--flex-volume-plugin-dir={places.state / 'volume-plugins'}",
        "--leader-elect=false",
    )
    return [
        _daemon(binaries, "kube-controller-manager", *controllers),
        _daemon(binaries, "kube-scheduler", *_logs_in(pki, SCHEDULER), "--leader-elect=false"),
    ]


def is_ready(places: Places, binaries: Binaries) -> bool:
    login = f"--kubeconfig={Pki(places.pki).kubeconfig(ADMIN)}"
    return succeeds(*within(CONTROL_PLANE), binaries.component("kubectl"), login, "get", "--raw=/readyz")


def forward(port: int) -> Daemon:
    """The API server on this machine's loopback: one socat waits outside, and for each connection one goes in."""
    return Daemon("api-forward", forward_argv(port, CONTROL_PLANE_IP, API_PORT))


def forward_argv(port: int, ip: str, target: int) -> tuple[str, ...]:
    inside = f"{' '.join(within(CONTROL_PLANE))} socat STDIO TCP\\:{ip}\\:{target}"
    return ("socat", f"TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr", f"EXEC:{inside}")


def _logs_in(pki: Pki, name: str) -> tuple[str, ...]:
    login = pki.kubeconfig(name)
    return tuple(f"--{purpose}kubeconfig={login}" for purpose in ("", "authentication-", "authorization-"))


def _daemon(binaries: Binaries, name: str, *flags: str) -> Daemon:
    return Daemon(name, (*within(CONTROL_PLANE), str(binaries.component(name)), *flags))
