"""``make bench-knative``: Remora and Knative Serving at zero on the test cluster, told in ``docs/results/knative.md``.

    python -m benchmarks.knative [--rows first,rest] [--sides Knative,Remora] [--rounds 5] [--into FILE]

Beside the page lies its record, a line of JSON for each row of a side. All rows of all sides begin a new record; some
rows are added to the one that there is, and replace what it had of them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from benchmarks.knative import images, system
from benchmarks.knative.page import CELLS, SIDES, page
from benchmarks.knative.rows import BY_KEY, ROWS, Figures, Row, recovered, settled
from benchmarks.knative.side import Knative, Remora, Side
from benchmarks.peers import record
from benchmarks.peers.ground import host, kubernetes
from benchmarks.peers.measuring import entries, load_images
from benchmarks.peers.record import Entry
from demo.ground import Ground
from demo.story import install
from tests.cluster import Cluster, running
from tests.cluster.progress import say
from tests.e2e.conftest import PROCESS, SESSION, namespace, no_pods
from tests.e2e.scene import scene
from tests.e2e.stage import Stage

READING = Path(__file__).with_name("reading.md")
SHORT = dict(zip(("Knative", "Remora", "RemoraZero"), SIDES, strict=True))
"""Sides as the command line has them."""


def main() -> int:
    """Measure, print, and write page and record where that is asked for."""
    given = _arguments()
    wanted = [BY_KEY[it] for it in given.rows.split(",")] if given.rows else list(ROWS)
    sides = [SHORT[it] for it in given.sides.split(",")]
    cluster = running()
    cluster.up()
    found = [] if not given.rows and set(sides) == set(SIDES) else record.read(given.into)
    with cluster.claimed():
        install(Ground(cluster))
        load_images(cluster, images.recipes())
        for name in sides:
            for entry in _measure(cluster, name, wanted, given.rounds):
                found.append(entry)
                print(f"{entry.side}, {BY_KEY[entry.row].title}: {_shown(entry)}", flush=True)
                _write(given.into, found)
    return 0


def _measure(cluster: Cluster, name: str, rows: Sequence[Row], rounds: int) -> Iterator[Entry]:
    """Run rows of one side in a namespace of its own."""
    with _side(cluster, name) as side:

        def measured(row: Row) -> Figures:
            with _scene_if_it_fails(cluster, side):
                return row.measure(side, rounds)

        with _scene_if_it_fails(cluster, side):
            settled(side, side.wanted)
        yield from entries(name, rows, measured, lambda: recovered(side))


@contextmanager
def _scene_if_it_fails(cluster: Cluster, side: Side) -> Iterator[None]:
    try:
        yield
    except Exception:
        of = system.scene if isinstance(side, Knative) else scene
        say(of(cluster, side.stage.namespace)[-20000:])
        raise


@contextmanager
def _side(cluster: Cluster, name: str) -> Iterator[Side]:
    """Give a side; its pods have gone, and Knative with them, when the next one comes."""
    is_knative = name == "Knative"
    try:
        with system.installed(cluster) if is_knative else nullcontext(), namespace(cluster) as at:
            stage = Stage(cluster, at)
            side: Side = Knative(stage) if is_knative else Remora(stage, "Zero" if "Zero" in name else "Keep")
            try:
                yield side
            finally:
                if is_knative:
                    system.without_applications(cluster, at)
    finally:
        no_pods(cluster, f"{PROCESS}={SESSION}")


def _shown(entry: Entry) -> str:
    if entry.error:
        return entry.error
    return "; ".join(f"{title} {of(entry.figures)}".strip() for title, of in CELLS[entry.row])


def _write(into: Path | None, found: Sequence[Entry]) -> None:
    if into is None:
        return
    record.write(into, found)
    facts = [
        host(),
        f"Knative Serving {images.KNATIVE} (Go module), Ray 2.60.0, Kubernetes {kubernetes(running())}",
        "`make bench-knative`",
    ]
    into.write_text(page(found, facts, READING.read_text()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.knative")
    parser.add_argument("--rows", default="", help=f"some of: {','.join(BY_KEY)}")
    parser.add_argument("--sides", default=",".join(SHORT))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--into", type=Path, help="page to write; none unless given")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
