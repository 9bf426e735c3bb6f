"""CLI: `python -m tests.cluster COMMAND`. Thin: each command is one call on a Cluster."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Sequence

from .cluster import Cluster, replace_process, running
from .commands import ClusterError
from .locking import lock
from .progress import say, step
from .recipes import REPOSITORY


def main(argv: Sequence[str] | None = None) -> int:
    asked = parser().parse_args(argv)
    try:
        perform(asked, running())
    except ClusterError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m tests.cluster", description="A real Kubernetes for tests.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("up", help="bring it up with images built and loaded; heal what has died")
    commands.add_parser("down", help="take it down and leave nothing but caches")
    commands.add_parser("status", help="what of it is there")
    commands.add_parser("images", help="build the images whose inputs changed, and load them into the nodes")
    commands.add_parser("load", help="load an image that buildah built").add_argument("image")
    commands.add_parser("lock", help="resolve anew what the images install")
    commands.add_parser("kubeconfig", help="print where the kubeconfig is")
    for name, help in (
        ("kubectl", "run kubectl"),
        ("helm", "run Helm"),
        ("exec", "run a program outside the cluster but on its network and with its names"),
    ):
        commands.add_parser(name, help=help, prefix_chars="\0", add_help=False).add_argument(
            "words", nargs=argparse.REMAINDER
        )
    node = commands.add_parser("node", help="run a program on a node's network, with its containerd at hand")
    node.add_argument("node")
    node.add_argument("words", nargs=argparse.REMAINDER)
    forward = commands.add_parser("forward", help="serve a Service on 127.0.0.1 until interrupted")
    forward.add_argument("namespace")
    forward.add_argument("service")
    forward.add_argument("port", type=int)
    return top


def perform(asked: argparse.Namespace, cluster: Cluster) -> None:
    match asked.command:
        case "up":
            with step("the cluster is up"):
                cluster.up()
            say(f"kubeconfig: {cluster.kubeconfig}")
        case "down":
            cluster.down()
        case "status":
            print(cluster.backend.status())
        case "images":
            cluster.reload()
        case "load":
            cluster.load(asked.image)
        case "lock":
            lock(REPOSITORY)
        case "kubeconfig":
            print(cluster.kubeconfig)
        case "kubectl":
            replace_process(cluster.kubectl_argv(*asked.words), cluster.kubeconfig)
        case "helm":
            replace_process([cluster.backend.helm, *asked.words], cluster.kubeconfig)
        case "exec":
            replace_process(cluster.command(*asked.words), cluster.kubeconfig)
        case "node":
            replace_process(cluster.backend.on_node(asked.node, asked.words), cluster.kubeconfig)
        case "forward":
            with cluster.forward(asked.namespace, asked.service, asked.port) as port:
                print(f"127.0.0.1:{port}")
                sys.stdout.flush()
                threading.Event().wait()
        case unknown:
            raise ClusterError(f"there is no command {unknown!r}")
