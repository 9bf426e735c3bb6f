"""Node: the settings and daemons of one node. Pure, but for `write`, which puts the settings on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from .binaries import Binaries
from .pki import PROXY, Pki
from .places import Places
from .processes import Daemon
from .topology import CONTROL_PLANE_IP, DNS_IP, POD_RANGE, Node, within


def write(node: Node, places: Places) -> None:
    """Write every file that the node's daemons read."""
    folder = places.node(node)
    for name in ("cni", "run", "pods"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    _put(folder / "cni" / "10-pods.conflist", json.dumps(cni(node, places)))
    _put(folder / "containerd.toml", containerd_settings(node, places))
    _put(folder / "purge.toml", purge_settings(node, places))
    _put(folder / "resolv.conf", f"nameserver {CONTROL_PLANE_IP}\n")  # Where nobody answers, at once.
    _put(folder / "kubelet.yaml", json.dumps(kubelet_settings(node, places)))
    _put(folder / "proxy.yaml", json.dumps(proxy_settings(places)))


def containerd(node: Node, places: Places) -> Daemon:
    return _daemon(node, "containerd", "containerd", f"--config={places.node(node) / 'containerd.toml'}")


def kubelet(node: Node, places: Places, binaries: Binaries) -> Daemon:
    folder = places.node(node)
    return _daemon(
        node,
        "kubelet",
        str(binaries.component("kubelet")),
        f"--config={folder / 'kubelet.yaml'}",
        f"--kubeconfig={Pki(places.pki).kubeconfig(node.name)}",
        f"--root-dir={folder / 'kubelet'}",
        f"--cert-dir={folder / 'kubelet-pki'}",
        f"--hostname-override={node.name}",
        f"--node-ip={node.ip}",
        "--v=1",
    )


def proxy(node: Node, places: Places, binaries: Binaries) -> Daemon:
    return _daemon(
        node,
        "proxy",
        str(binaries.component("kube-proxy")),
        f"--config={places.node(node) / 'proxy.yaml'}",
        f"--hostname-override={node.name}",
    )


def cni(node: Node, places: Places) -> Mapping[str, object]:
    """Pods on a bridge, with addresses that the static routes of `network` know."""
    addresses = {
        "type": "host-local",
        "dataDir": str(places.node(node) / "addresses"),
        "ranges": [[{"subnet": node.pods}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": False, "hairpinMode": True}
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": node.namespace, "plugins": [{**bridge, "ipam": addresses}, portmap]}


def containerd_settings(node: Node, places: Places) -> str:
    return f"""{_containerd_folders(node, places)}
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  disable_apparmor = true
  # Without CAP_SYS_RESOURCE nobody may lower his score, and every sandbox would fail.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{places.node(node) / "cni"}"
"""


def purge_settings(node: Node, places: Places) -> str:
    """containerd without its Kubernetes part, which would keep what `store` removes."""
    return _containerd_folders(node, places).replace(
        "[grpc]", 'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]'
    )


def kubelet_settings(node: Node, places: Places) -> Mapping[str, object]:
    folder, pki = places.node(node), Pki(places.pki)
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(pki.authority)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(pki.certificate(node.name)),
        "tlsPrivateKeyFile": str(pki.key(node.name)),
        "clusterDNS": [DNS_IP],
        "clusterDomain": "cluster.local",
        "resolvConf": str(folder / "resolv.conf"),
        "containerRuntimeEndpoint": f"unix://{places.socket(node)}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{node.namespace}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "podLogsDir": str(folder / "pods"),
        "volumePluginDir": str(folder / "volume-plugins"),
        "evictionHard": {"memory.available": "100Mi"},
        "imageGCHighThresholdPercent": 100,
        "serializeImagePulls": False,
        "maxPods": 250,
        "nodeStatusUpdateFrequency": "5s",
        # `syncFrequency` stays at its minute: users wait that long for a changed ConfigMap, so tests do.
    }


def proxy_settings(places: Places) -> Mapping[str, object]:
    """`clusterCIDR` makes it hide the addresses of clients outside, whose answers would go astray."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": POD_RANGE,
        "clientConnection": {"kubeconfig": str(Pki(places.pki).kubeconfig(PROXY))},
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def _put(path: Path, content: str) -> None:
    """Write the file unless it holds this already: kube-proxy ends itself whenever its own is written."""
    if not path.exists() or path.read_text() != content:
        path.write_text(content)


def _containerd_folders(node: Node, places: Places) -> str:
    folder = places.node(node)
    return f"""version = 2
root = "{places.store(node)}"
state = "{folder / "run" / "containerd"}"
[grpc]
  address = "{places.socket(node)}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder / "opt"}"
"""


def _daemon(node: Node, name: str, *argv: str) -> Daemon:
    return Daemon(f"{node.name}-{name}", (*within(node.namespace), *argv))
