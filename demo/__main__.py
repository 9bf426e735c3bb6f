"""``python -m demo up|down``: says where it runs and why, then runs there. It never touches a cluster not named."""

from __future__ import annotations

import argparse
import subprocess
import sys

from demo import ground, local
from demo.access import Access, CommandFailed, NamedContext, run
from demo.place import Choice, Facts, Kind, choose
from demo.screen import GaveUp, complain, say
from demo.story import remove, tell

KIND_CLUSTER = "remora"


def main() -> int:
    """Run the demo or remove it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("verb", choices=["up", "down"])
    parser.add_argument("--context", help="kubeconfig context of a cluster to use")
    parser.add_argument("--registry", help="with --context: where that cluster pulls images from")
    asked = parser.parse_args()
    choice = choose(Facts(asked.context, docker_missing(), ground.missing()))
    say(f"Remora's demo runs on {choice.kind.value}: {choice.why}.")
    try:
        if choice.kind is Kind.LOCAL:
            return local.tell() if asked.verb == "up" else 0
        if choice.kind is Kind.PROVING_GROUND and asked.verb == "down" and not ground.is_up():
            ground.down()
            return 0
        access = reach(choice, asked)
        if asked.verb == "up":
            tell(access)
        else:
            remove(access)
            if choice.kind is Kind.KIND:
                run("kind", "delete", "cluster", "--name", KIND_CLUSTER)
            if choice.kind is Kind.PROVING_GROUND:
                ground.down()
    except (CommandFailed, GaveUp) as error:
        complain(str(error))
        return 1
    return 0


def reach(choice: Choice, asked: argparse.Namespace) -> Access:
    """Make the chosen cluster reachable, creating it where that is ours to do."""
    if choice.kind is Kind.PROVING_GROUND:
        return ground.reach(create=asked.verb == "up")
    if choice.kind is Kind.KIND:
        if KIND_CLUSTER not in run("kind", "get", "clusters").split():
            run("kind", "create", "cluster", "--name", KIND_CLUSTER, "--config", "kind-config.yaml")
        return NamedContext(f"kind-{KIND_CLUSTER}", registry=None)
    if not asked.registry and not asked.context.startswith("kind-"):
        raise CommandFailed(
            f"context {asked.context} needs a registry that it pulls images from: "
            "make demo CONTEXT=… REGISTRY=registry.example/me"
        )
    return NamedContext(asked.context, asked.registry)


def docker_missing() -> str | None:
    """Return why no Docker engine can be used, or None when one answers."""
    try:
        answers = subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=10).returncode == 0
    except FileNotFoundError:
        return "there is no docker"
    except subprocess.TimeoutExpired:
        return "the Docker engine did not answer within 10 s"
    return None if answers else "no Docker engine answers"


if __name__ == "__main__":
    sys.exit(main())
