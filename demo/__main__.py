"""``python -m demo up|down``: says where it runs and why, then runs there. It never touches a cluster not named."""

from __future__ import annotations

import argparse
import sys

from demo import ground, local
from demo.access import Access, CommandFailed
from demo.context import NamedContext
from demo.place import Choice, Facts, Kind, choose
from demo.screen import GaveUp, complain, say
from demo.story import remove, tell

BACKENDS = {Kind.KIND: "kind", Kind.PROVING_GROUND: "bare"}
"""The places whose cluster is the demo's to make and to remove, and what tests/cluster calls them."""


def main() -> int:
    """Run the demo or remove it; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("verb", choices=["up", "down"])
    parser.add_argument("--context", help="kubeconfig context of a cluster to use")
    parser.add_argument("--registry", help="with --context: where that cluster pulls images from")
    asked = parser.parse_args()
    choice = choose(Facts(asked.context, ground.missing("kind"), ground.missing("bare")))
    say(f"Remora's demo runs on {choice.kind.value}: {choice.why}.")
    try:
        if asked.verb == "up":
            up(choice, asked)
        else:
            down(choice, asked)
    except (CommandFailed, GaveUp) as error:
        complain(str(error))
        return 1
    return 0


def up(choice: Choice, asked: argparse.Namespace) -> None:
    """Tell the demo's story in the chosen place; raises CommandFailed and GaveUp."""
    if choice.kind is Kind.LOCAL:
        local.tell()
    else:
        tell(reach(choice, asked))


def down(choice: Choice, asked: argparse.Namespace) -> None:
    """Remove what `up` made there; local mode leaves nothing behind. Raises CommandFailed."""
    if choice.kind is Kind.LOCAL:
        return
    backend = BACKENDS.get(choice.kind)
    if backend is None or ground.is_up(backend):
        remove(reach(choice, asked))
    if backend is not None:
        ground.down(backend)


def reach(choice: Choice, asked: argparse.Namespace) -> Access:
    """Make the chosen cluster reachable, creating it where that is ours to do; raises CommandFailed."""
    backend = BACKENDS.get(choice.kind)
    if backend is not None:
        return ground.reach(backend, create=asked.verb == "up")
    return NamedContext.of(asked.context, asked.registry)


if __name__ == "__main__":
    sys.exit(main())
