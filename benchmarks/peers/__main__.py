"""``make bench-peers``: Remora and KubeRay do the same work on the test cluster, told in ``docs/results/kuberay.md``.

    python -m benchmarks.peers [--rows start,code] [--sides Remora,KubeRay] [--into FILE]

Beside the page lies its record, a line of JSON for each row of a side. All rows of both sides begin a new record; some
rows are added to the one that there is, and replace what it had of them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from benchmarks.peers import images, kuberay, record
from benchmarks.peers.ground import host, kubernetes
from benchmarks.peers.measuring import RECOVERY_S, entries, load_images
from benchmarks.peers.page import CELLS, SIDES, page
from benchmarks.peers.record import Entry
from benchmarks.peers.rows import BY_KEY, ROWS, Row
from benchmarks.peers.side import KubeRay, Remora, Side, apply
from demo.ground import Ground
from demo.story import install
from tests.cluster import Cluster, running
from tests.cluster.progress import say
from tests.e2e.conftest import PROCESS, SESSION, namespace, no_pods
from tests.e2e.scene import scene
from tests.e2e.stage import Stage, awaited, eventually

READING = Path(__file__).with_name("reading.md")


def main() -> int:
    """Measure, print, and write page and record where that is asked for."""
    given = _arguments()
    wanted = [BY_KEY[it] for it in given.rows.split(",")] if given.rows else list(ROWS)
    sides = given.sides.split(",")
    cluster = running()
    cluster.up()
    is_whole = not given.rows and set(sides) == set(SIDES)
    found = [] if is_whole else record.read(given.into)
    with cluster.claimed():
        install(Ground(cluster))
        load_images(cluster, images.recipes())
        with kuberay.installed(cluster) if "KubeRay" in sides else nullcontext():
            for name in sides:
                for entry in _measure(cluster, name, wanted):
                    found.append(entry)
                    print(f"{entry.side}, {BY_KEY[entry.row].title}: {_shown(entry)}", flush=True)
                    _write(given.into, found)
    return 0


def _measure(cluster: Cluster, name: str, rows: Sequence[Row]) -> Iterator[Entry]:
    """Run rows of one side in a namespace of its own."""
    with _side(cluster, name) as side:

        def failed() -> None:
            say(scene(cluster, side.stage.namespace)[-20000:])
            awaited(side.is_settled, RECOVERY_S)

        if all(it.key != "start" for it in rows):
            apply(side, side.wanted)
            eventually(side.is_settled, 300, "the state that is wanted")
        yield from entries(name, rows, lambda row: row.measure(side), failed)


@contextmanager
def _side(cluster: Cluster, name: str) -> Iterator[Side]:
    """Give a side; its pods have gone when the next one comes."""
    try:
        with namespace(cluster) as at:
            stage = Stage(cluster, at)
            side: Side = KubeRay(stage) if name == "KubeRay" else Remora(stage)
            try:
                yield side
            finally:
                if name == "KubeRay":
                    kuberay.without_services(cluster, at)
    finally:
        no_pods(cluster, f"{PROCESS}={SESSION}")


def _shown(entry: Entry) -> str:
    return entry.error or f"{CELLS[entry.row](entry.figures)} {entry.figures.get('why', '')}"


def _write(into: Path | None, found: Sequence[Entry]) -> None:
    if into is None:
        return
    record.write(into, found)
    facts = [
        host(),
        f"KubeRay {images.KUBERAY}, Ray and Ray Serve 2.60.0, Kubernetes {kubernetes(running())}",
        "`make bench-peers`",
    ]
    into.write_text(page(found, facts, READING.read_text()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers")
    parser.add_argument("--rows", default="", help=f"some of: {','.join(BY_KEY)}")
    parser.add_argument("--sides", default=",".join(SIDES))
    parser.add_argument("--into", type=Path, help="page to write; none unless given")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
