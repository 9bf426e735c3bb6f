"""``make bench-knative``: Remora and Knative Serving at zero on the test cluster, told in ``docs/results/knative.md``.

    python -m benchmarks.knative [--rows first,rest] [--sides Knative,Remora] [--rounds 5] [--into FILE]

Beside the page lies its record, a line of JSON for each row of a side. All rows of all sides begin a new record; some
rows are added to the one that there is, and replace what it had of them.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.in_cluster import image
from benchmarks.knative import images, system
from benchmarks.knative.page import CELLS, SIDES, page
from benchmarks.knative.rows import BY_KEY, ROWS, Row, recovered, settled
from benchmarks.knative.side import Knative, Remora, Side
from benchmarks.peers import record
from benchmarks.peers.ground import host, kubernetes
from benchmarks.peers.record import Entry
from demo.ground import Ground
from demo.story import install
from tests.cluster import Cluster, ClusterError, running
from tests.cluster.progress import say
from tests.e2e.conftest import PROCESS, SESSION, namespace, no_pods
from tests.e2e.page import commit
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
    entries = [] if not given.rows and set(sides) == set(SIDES) else record.read(given.into)
    with cluster.claimed():
        install(Ground(cluster))
        _load_images(cluster)
        for name in sides:
            for entry in _measure(cluster, name, wanted, given.rounds):
                entries.append(entry)
                print(f"{entry.side}, {BY_KEY[entry.row].title}: {_shown(entry)}", flush=True)
                _write(given.into, entries)
    return 0


def _load_images(cluster: Cluster) -> None:
    with images.recipes() as recipes:
        for it in recipes:
            cluster.build(it)
    with image.recipe() as recipe:
        cluster.build(recipe)


def _measure(cluster: Cluster, name: str, rows: Sequence[Row], rounds: int) -> Iterator[Entry]:
    """Run rows of one side in a namespace of its own; one that fails leaves the others their turn."""
    with _side(cluster, name) as side:
        with _scene_if_it_fails(cluster, side):
            settled(side, side.wanted)
        for row in rows:
            if row.only and row.only != name:
                continue
            began = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
            say(f"… {name}: {row.title}")
            then = time.monotonic()
            try:
                with _scene_if_it_fails(cluster, side):
                    entry = Entry(began, commit(), name, row.key, row.measure(side, rounds))
            except (AssertionError, ClusterError, OSError, KeyError, StopIteration) as error:
                say(traceback.format_exc())
                entry = Entry(began, commit(), name, row.key, error=f"{type(error).__name__}: {error}")
                recovered(side)
            say(f"✓ {name}: {row.title} ({time.monotonic() - then:.0f} s)")
            yield entry


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


def _write(into: Path | None, entries: Sequence[Entry]) -> None:
    if into is None:
        return
    record.write(into, entries)
    facts = [
        host(),
        f"Knative Serving {images.KNATIVE} (Go module), Ray 2.60.0, Kubernetes {kubernetes(running())}",
        "`make bench-knative`",
    ]
    into.write_text(page(entries, facts, READING.read_text()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.knative")
    parser.add_argument("--rows", default="", help=f"some of: {','.join(BY_KEY)}")
    parser.add_argument("--sides", default=",".join(SHORT))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--into", type=Path, help="page to write; none unless given")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
