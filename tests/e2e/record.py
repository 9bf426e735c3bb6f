"""The record of rollouts under load: a line of JSON for what one kind went through, and the page made of all lines.

100 rollouts of every kind take hours, so that they are the sum of several runs; each line has its time and its commit.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from statistics import median


@dataclass(frozen=True, slots=True)
class Entry:
    """What one kind of rollout went through in one run."""

    began: str
    """UTC, ISO 8601."""
    commit: str
    machine: str
    long_s: float
    """Seconds that streams and slow requests took."""
    kind: str
    rollouts: int
    requests: int
    long: int
    """Streams and slow requests that were read to their end."""
    failed: int
    peak_pods: int
    allowed_pods: int
    seconds: tuple[float, ...]
    """Of each rollout."""
    p99_ms: float
    faults: tuple[str, ...] = ()
    side_by_side: int = 1
    """Applications that were rolled at the same time, each with its own load."""


def read(file: Path) -> list[Entry]:
    """Return the lines of a record; none if there is no file."""
    if not file.exists():
        return []
    read = [json.loads(line) for line in file.read_text().splitlines()]
    return [Entry(**it | {"seconds": tuple(it["seconds"]), "faults": tuple(it["faults"])}) for it in read]


def append(file: Path, entry: Entry) -> None:
    """Add a line."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as lines:
        lines.write(json.dumps(asdict(entry)) + "\n")


def page(entries: Sequence[Entry], kinds: Sequence[str]) -> str:
    """Return the page: the sum by kind, in this order, then by commit, then what was not as it has to be."""
    return "\n".join(
        [
            HEAD,
            "| kind | rollouts | requests | long ones | failures | most worker pods (allowed) "
            "| seconds (median / longest) | p99 ms (median of runs) |",
            "|---|---|---|---|---|---|---|---|",
            *(_row(name, [it for it in entries if it.kind == name]) for name in _named(entries, kinds)),
            _row("**all**", entries, is_sum=True),
            "",
            "| commit | first and last run (UTC) | machine | long ones, s | applications at a time | rollouts "
            "| requests | failures |",
            "|---|---|---|---|---|---|---|---|",
            *_commits(entries),
            "",
            *_faults(entries),
        ]
    )


def _named(entries: Sequence[Entry], kinds: Sequence[str]) -> list[str]:
    recorded = {it.kind for it in entries}
    return [it for it in kinds if it in recorded]


def _row(name: str, entries: Sequence[Entry], *, is_sum: bool = False) -> str:
    seconds = [it for entry in entries for it in entry.seconds]
    pods = f"{max(it.peak_pods for it in entries)} ({max(it.allowed_pods for it in entries)})"
    p99 = f"{median(it.p99_ms for it in entries if it.requests):.0f}" if seconds else ""
    spent = f"{median(seconds):.0f} / {max(seconds):.0f}" if seconds else ""
    return (
        f"| {name} | {sum(it.rollouts for it in entries):,} | {sum(it.requests for it in entries):,} "
        f"| {sum(it.long for it in entries):,} | {sum(it.failed for it in entries)} | {'' if is_sum else pods} "
        f"| {'' if is_sum else spent} | {'' if is_sum else p99} |"
    )


def _commits(entries: Iterable[Entry]) -> list[str]:
    groups: dict[tuple[str, str, float, int], list[Entry]] = {}
    for it in entries:
        groups.setdefault((it.commit, it.machine, it.long_s, it.side_by_side), []).append(it)
    return [
        f"| {commit} | {_minute(of[0].began)} – {_minute(of[-1].began)} | {machine} | {long_s:g} | {applications} "
        f"| {sum(it.rollouts for it in of):,} | {sum(it.requests for it in of):,} | {sum(it.failed for it in of)} |"
        for (commit, machine, long_s, applications), of in groups.items()
    ]


def _minute(time: str) -> str:
    return f"{datetime.fromisoformat(time):%Y-%m-%d %H:%M}"


def _faults(entries: Iterable[Entry]) -> list[str]:
    found = [f"* {_minute(it.began)}, commit {it.commit}: {fault}" for it in entries for fault in it.faults]
    return ["What was not as it has to be:", "", *found, ""] if found else []


HEAD = """# Rollouts under load

Made by `make soak-rollouts`, which adds to `rollouts.jsonl` and writes this page from it; 100 of every kind take hours,
so that this is the sum of several runs. A client that never retries sends 100 requests a second on 8 kept connections,
and holds a stream and a slow request of some seconds, again and again (long ones). A failure is any answer but a whole
2xx. Where several applications are rolled at a time, each has such a client. Pods are counted from a watch. A rollout's
time includes the long requests that old replicas finish. The cluster is a real Kubernetes of two nodes on one machine,
with the load generator beside it.
"""
