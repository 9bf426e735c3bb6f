"""``make bench``: every row of the table, on every side, and the page `docs/benchmarks.md`.

    python -m benchmarks [--rows noop,chain] [--sides remora,bare] [--rounds 3] [--seconds 5] [--into FILE]

Without ``--rows`` and ``--sides`` the page is written; a part of them is only printed, or with ``--into FILE`` kept
there, and the page is made of all rows that the file holds.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks import machine, results, rows, table, tools
from benchmarks.bench import Bench
from benchmarks.goals import Side
from benchmarks.sides import ROOT, Host, SideFailed, python_of
from benchmarks.table import Measured

PAGE = ROOT / "docs" / "benchmarks.md"
SIDES = {"bare": Side.BARE, "default": Side.DEFAULT, "best": Side.BEST, "remora": Side.REMORA}
HOW = """Made by `make bench`: every side serves the same program (`benchmarks/programs`), is warmed up, and
is then measured in turns, {rounds} rounds with loads of {seconds:g} s each. A cell holds the median over
the rounds, and half their spread. Ratios are medians of ratios within a round. Remora runs with everything
on: keys on all connections, access log, metrics, request ids, limits, and a deadline on every request. *Ray
Serve, best* is HAProxy with `RAY_SERVE_THROUGHPUT_OPTIMIZED=1`; bare uvicorn runs one process with uvloop
and httptools and without an access log. The other sides' processes stand still while one is measured. Absolute figures
only illustrate."""


def main() -> int:
    """Measure, print, and write the page."""
    given = _arguments()
    chosen = given.rows.split(",") if given.rows else list(rows.NAMES)
    sides = [SIDES[name] for name in given.sides.split(",")] if given.sides else list(SIDES.values())
    tools.wrk()
    ray_serve = tools.ray_serve() if {Side.DEFAULT, Side.BEST} & set(sides) else None
    began = time.monotonic()
    figures = {name: _row(name).FIGURES for name in (*rows.NAMES, *rows.BY_NAME)}
    kept = {}
    if given.into and given.into.exists():
        kept = results.loaded(given.into.read_text(), figures)
    with ExitStack() as stack:
        hosts = {}
        for side in sides:
            try:
                hosts[side] = stack.enter_context(Host(side, python_of(side, ray_serve or Path(sys.executable))))
            except SideFailed as error:
                print(f"left out: {error}", file=sys.stderr, flush=True)
        bench = Bench(hosts, given.rounds, given.seconds)
        for name in chosen:
            kept[name] = _measure(name, bench)
            if given.into:
                given.into.write_text(results.dumped(kept))
    print(f"\n{(time.monotonic() - began) / 60:.0f} minutes")
    how = HOW.format(rounds=given.rounds, seconds=given.seconds)
    measured = [line for name in (*rows.NAMES, *rows.BY_NAME) for line in kept.get(name, ())]
    text = table.page(measured, machine=machine.facts(ray_serve), how=how)
    page = PAGE if given.into or not (given.rows or given.sides) else None
    if page is not None:
        page.write_text(text)
        print(f"written: {page}")
    return 0


def _row(name: str) -> rows.Row:
    row: rows.Row = importlib.import_module(f"benchmarks.rows.{name}")
    return row


def _measure(name: str, bench: Bench) -> list[Measured]:
    row = _row(name)
    began = time.monotonic()
    found = row.measure(bench).measured(row.FIGURES)
    print(f"\n{name} ({time.monotonic() - began:.0f} s)", flush=True)
    for measured in found:
        print(table.line(measured), flush=True)
    for side, why in (found[0].failures if found else {}).items():
        print(f"  {side}: {why}", flush=True)
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", default="", help=f"some of: {','.join((*rows.NAMES, *rows.BY_NAME))}")
    parser.add_argument("--sides", default="", help=f"some of: {','.join(SIDES)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--into", type=Path, help="file that keeps the rows of several runs")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
