"""The page in `docs/results/`, made of the record of what was measured. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.knative.manifests import GRACE_S, IDLE_S
from benchmarks.knative.rows import ROWS
from benchmarks.peers import record
from benchmarks.peers.record import Entry, Newest

SIDES = ("Knative", "Remora", "Remora, `head: Zero`")
Cell = Callable[[Mapping[str, Any]], str]


def page(entries: Sequence[Entry], facts: Sequence[str], reading: str) -> str:
    """Return the page; of several entries of a row and side the last counts."""
    newest = record.newest(entries)
    return "\n".join(
        [
            HEAD,
            record.made(newest),
            *(f"* {it}" for it in facts),
            "",
            f"| | {' | '.join(SIDES)} |",
            f"|---|{'---|' * len(SIDES)}",
            *_lines(newest),
            "",
            "## Where the time of the first answer goes",
            "",
            "Seconds from the request to each step as a watch saw it, the median of all rounds.",
            "",
            *_parts(newest),
            "",
            reading.strip(),
            "",
            "## What the failures were",
            "",
            *record.failures(newest, ROWS, SIDES),
            HOW,
        ]
    )


def _lines(newest: Newest) -> list[str]:
    lines = []
    for row in ROWS:
        for title, of in CELLS[row.key]:
            cells = [record.cell(newest.get((row.key, side)), of, applies=row.only in ("", side)) for side in SIDES]
            lines.append(f"| {title or row.title} | {' | '.join(cells)} |")
    return lines


def seconds(samples: Sequence[float], digits: int = 1) -> str:
    """Return the median of some seconds, and all of them."""
    if not samples:
        return "not seen"
    return f"{median(samples):.{digits}f} s ({', '.join(f'{it:.{digits}f}' for it in samples)})"


def _lost(of: Mapping[str, Any]) -> str:
    return f"**{of['failed']}** of {of['requests']:,} failed"


def _many(of: Mapping[str, Any]) -> str:
    return f"{_lost(of)}; first answer {seconds(of['first_s'])}, last {seconds(of['last_s'])}"


def _leaving(of: Mapping[str, Any]) -> str:
    long = "is answered" if of["long"] else f"**fails**: {of['long_why'][:80]}"
    same = f"{of['same']} by the pod that was there"
    return f"{_lost(of)}, {same}; a request of {of['long_s']} s {long}"


def _held(of: Mapping[str, Any]) -> str:
    return f"{_many(of)}; holders replaced after {seconds(of['replaced_s'])}"


def _rates(of: Mapping[str, Any]) -> str:
    rates, times = of["per_s"], of["p50_ms"]
    shown = ", ".join(f"{it:,}" for it in rates)
    return f"{median(rates):,.0f}/s by 16 connections ({shown}); p50 of one {median(times):g} ms"


CELLS: Mapping[str, Sequence[tuple[str, Cell]]] = {
    "first": (
        ("", lambda of: f"**{seconds(of['first_s'], 2)}**".replace(" s (", " s** (").removesuffix("**")),
        ("its last answer → the pod is told to go", lambda of: seconds(of["leaving_s"])),
        ("its last answer → the pod has gone", lambda of: seconds(of["gone_s"])),
    ),
    "hundred": (("", _many),),
    "rest": (
        (
            "at zero, of this application: pods, memory (PSS), CPU",
            lambda of: f"{of['pods']} pods, {of['memory_mib']} MiB, {of['cpu_cores']:.3f} cores",
        ),
        (
            "at zero, of the system for all applications",
            lambda of: f"{of['system_pods']} pods, {of['system_mib']} MiB, {of['system_cores']:.3f} cores",
        ),
    ),
    "warm": (("", _rates),),
    "direct": (("", _rates),),
    "leaving": (("", _leaving),),
    "restart": (("", _held),),
}


def _parts(newest: Newest) -> list[str]:
    found = []
    for side in SIDES:
        parts = newest[("first", side)].figures.get("parts") if ("first", side) in newest else None
        if parts:
            found.append(f"* {side}: " + ", ".join(f"{step} {at:.1f}" for step, at in parts.items()))
    return found or ["Not measured."]


HEAD = """# Beside Knative, at zero

Made by `make bench-knative`: an application that goes to zero when nobody asks and comes back for a request, served by
Knative Serving and by Remora's `scaleToZero`, with Ray's head kept at zero and without, one after the other on the same
real two-node cluster. Clients never retry; a failure is any answer but a whole 200. Where a cell has several figures
the first is their median.
"""

HOW = f"""
## How

* Knative's five programs are built from its Go module and installed from that module's own manifests, with the
  resources that they have there. Left out are what needs a metrics server and what encrypts. There is **no ingress**,
  and so no Route: the application is a `Configuration`, and clients name its Revision in the headers by which Knative's
  activator finds it. An ingress is one hop more: Knative is better off here than in real life.
* Knative serves a bare ASGI application by uvicorn, its image that of Remora's pods; Remora a deployment of the same
  handler. Each has one replica at most, 300m of CPU requested for the pod that serves, no CPU limit, two pods that hold
  requests (Knative's activators, Remora's proxies), and pods of Pod Security `restricted`. Images are on the nodes.
* Both go after {IDLE_S} s: the smallest `stable-window` that Knative takes (60 s unless given), with a
  `scale-to-zero-grace-period` of {GRACE_S} s (30 s unless given); Remora's `idleSeconds` is 1 or
  more, and has no default.
* In the row of the moment in which it goes, each round sends a request, and ten more from just when the pod had left
  after the answer before, half a second earlier or later each time.
* The cluster's nodes are namespaces of one machine: control plane, load generator and all pods share its cores, so that
  seconds are longer than elsewhere, and only the sides' ratio counts.
"""
