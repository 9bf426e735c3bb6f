"""The page in `docs/results/`, made of the record of what was measured. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.peers import record
from benchmarks.peers.record import Entry, Newest
from benchmarks.peers.rows import ROWS

SIDES = ("Remora", "KubeRay")


def page(entries: Sequence[Entry], facts: Sequence[str], reading: str) -> str:
    """Return the page; of several entries of a row and side the last counts."""
    newest = record.newest(entries)
    return "\n".join(
        [
            HEAD,
            record.made(newest),
            *(f"* {it}" for it in facts),
            "",
            "| | Remora | KubeRay |",
            "|---|---|---|",
            *_lines(newest),
            "",
            reading.strip(),
            "",
            "## What the failures were",
            "",
            *record.failures(newest, ROWS, SIDES),
            "",
            "## What is said of code that cannot be imported",
            "",
            *_said(newest),
            HOW,
        ]
    )


def _lines(newest: Newest) -> list[str]:
    lines = []
    for row in ROWS:
        cells = [
            record.cell(newest.get((row.key, side)), CELLS[row.key], applies=row.only in ("", side)) for side in SIDES
        ]
        lines.append(f"| {row.title} | {' | '.join(cells)} |")
        if row.key == "start":
            for title, of in REST:
                cells = [of(newest[row.key, it].figures) if _has(newest, it) else "" for it in SIDES]
                lines.append(f"| {title} | {' | '.join(cells)} |")
    return lines


def _has(newest: Newest, side: str) -> bool:
    found = newest.get(("start", side))
    return found is not None and not found.error


def requests(of: Mapping[str, Any]) -> str:
    """Return what clients saw."""
    late = "" if of["over"] else f", not over within {of['within_s']} s"
    outage = f", the first and the last {of['outage_s']:g} s apart" if of["failed"] > 1 else ""
    return f"**{of['failed']}** of {of['requests']:,} requests failed{outage}; p99 {of['p99_ms']:.0f} ms{late}"


def _changed(of: Mapping[str, Any]) -> str:
    return f"{of['all_new_s']:.0f} s until nothing old answers; {requests(of)}; at most {of['peak_pods']} pods"


def _scaled(of: Mapping[str, Any]) -> str:
    four = "not four" if of["four_s"] is None else f"{of['four_s']:.0f} s until four answer"
    return f"{four}; {requests(of)}; {of['pods']} pods then, {of['replaced']} replaced"


def _broken(of: Mapping[str, Any]) -> str:
    refused = f"said after {of['refused_s']:.0f} s" if of["is_refused"] else "not said"
    serves = "the old code serves on" if of["serves_on"] else "**the old code does not serve on**"
    return f"{refused}, {serves}; fixed {of['forward_s']:.0f} s after the fix; {requests(of)}"


def _deleted(of: Mapping[str, Any]) -> str:
    two = "no second replica came" if of["two_s"] is None else f"{of['two_s']:.0f} s until another process answers"
    return f"{two}; {requests(of)}{_gap(of)}"


def _gap(of: Mapping[str, Any]) -> str:
    return f"; longest time without an answer {of['gap_s']:g} s" if "gap_s" in of else ""


def _head(of: Mapping[str, Any]) -> str:
    same = f"{of['same']} of {of['had']} replica processes serve on"
    return f"{requests(of)}{_gap(of)}; {same}"


def _rate(of: Mapping[str, Any]) -> str:
    return f"{of['per_s']:,} ({', '.join(f'{it:,}' for it in of['rates'])})"


Cell = Callable[[Mapping[str, Any]], str]
CELLS: Mapping[str, Cell] = {
    "start": lambda of: f"{of['first_s']:.1f} s; {of['settled_s']:.1f} s until its operator says all is as wanted",
    "noop": _rate,
    "fast": _rate,
    "code": _changed,
    "variable": _changed,
    "image": _changed,
    "scale": _scaled,
    "broken": _broken,
    "drained": _deleted,
    "killed": _deleted,
    "head": _head,
    "head_alone": _head,
    "head_stored": _head,
}
REST: Sequence[tuple[str, Cell]] = (
    ("pods at rest", lambda of: f"{of['pods']}"),
    ("memory of these pods (PSS)", lambda of: f"{of['memory_mib']:,} MiB"),
    ("CPU of these pods at rest, 30 s", lambda of: f"{of['cpu_cores']:.3f} cores"),
    (
        "operator at rest: memory (PSS), CPU",
        lambda of: f"{of['operator_mib']} MiB in {of['operator_pods']} pod(s), {of['operator_cores']:.3f} cores",
    ),
    (
        "definition of the resource; of all that come with it",
        lambda of: "; ".join(f"{it:,} KiB" for it in of["crd_kib"]),
    ),
)


def _said(newest: Newest) -> list[str]:
    found = []
    for side in SIDES:
        said = newest[("broken", side)].figures.get("said") if ("broken", side) in newest else None
        if said:
            found += [f"{side}:", "", "```", *(it.rstrip()[:1200] for it in said.splitlines()), "```", ""]
    return found


HEAD = """# Beside KubeRay

Made by `make bench-peers`: the same program, an ingress deployment of two replicas on two worker pods, served by Remora
and by KubeRay's RayService with Ray Serve, one after the other on the same real two-node cluster. A client that never
retries sends 100 requests a second on 8 kept connections and holds a 10-second stream and a 10-second request, again
and again; a second one sends 5 requests a second, each on a connection of its own. A failure is any answer but a whole
200. All are counted from before a change until the operator says that all is as wanted and pods of the past have gone.
"""

HOW = """## How

* KubeRay's operator is built from its Go module, runs in a pod, and is installed by its own `config/default`, with the
  resources that it gives itself there. The RayService follows KubeRay's sample for high availability: Ray's head keeps
  its tables in Redis, runs no replicas and is left out of the Service, and a node holds one replica of the deployment
  at most. The upgrade strategy is `NewCluster`; pods have 45 s to end, as Ray drains its node for up to 30 s.
  Redis (one pod more) is not counted in pods, memory and CPU.
* Remora runs two proxy pods beside the head and two worker pods; each worker pod has room for more replicas.
* Both have the same requests of CPU and memory limits for head and workers, access logs on, no CPU limits, pods of Pod
  Security `restricted`. Ray is 2.60.0 on both sides. Images are on the nodes before anything is measured.
* "New code" is the text in the resource at Remora, and at KubeRay another import path in `serveConfigV2`, of a module
  that the image has already: that is KubeRay's update in place. With a `working_dir` a download comes on top; code that
  is in the image needs another image, which is a row of its own.
* The cluster's nodes are namespaces of one machine: control plane, load generator and all pods share its cores, so that
  seconds are longer than elsewhere, and only the sides' ratio counts. Each row was run once unless it says otherwise.
"""
