"""The record of what was measured: a line of JSON for each row of a side, beside the page that is made of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Entry:
    """What came of one row of one side."""

    began: str
    """UTC, to the minute."""
    commit: str
    side: str
    row: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    """Why there are no figures."""


class Row(Protocol):
    """What record and page need to know of a row."""

    @property
    def key(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def only(self) -> str:
        """The side that has it; empty for all."""


Newest = Mapping[tuple[str, str], Entry]


def newest(entries: Sequence[Entry]) -> Newest:
    """Return the last entry of each row and side."""
    return {(it.row, it.side): it for it in entries}


def made(of: Newest) -> str:
    """Return the line of the page that says when, and of which commits, it was measured."""
    if not of:
        return "* nothing is measured"
    times, commits = sorted({it.began for it in of.values()}), sorted({it.commit for it in of.values()})
    return f"* measured {times[0]} to {times[-1]} UTC, commit {', '.join(commits)}"


def cell(entry: Entry | None, of: Callable[[Mapping[str, Any]], str], *, applies: bool) -> str:
    """Return what stands in a cell: what is made of the figures, or why there are none."""
    if not applies:
        return "–"
    if entry is None:
        return "not measured"
    if entry.error:
        return "no figures: " + entry.error.splitlines()[0].replace("|", "/")[:200]
    return of(entry.figures)


def failures(of: Newest, rows: Sequence[Row], sides: Sequence[str]) -> list[str]:
    """Return lines that say what clients were told instead of a whole 200."""
    found = []
    for row in rows:
        for side in sides:
            why = of[row.key, side].figures.get("why") if (row.key, side) in of else None
            if why:
                texts = "; ".join(f"{count} × `{text.replace('`', '')[:160]}`" for text, count in why.items())
                found.append(f"* {row.title}, {side}: {texts}")
    return found or ["There were none."]


def read(page: Path | None) -> list[Entry]:
    """Return the entries beside a page, none where there are none."""
    record = page.with_suffix(".jsonl") if page else None
    if record is None or not record.exists():
        return []
    return [Entry(**json.loads(line)) for line in record.read_text().splitlines()]


def write(page: Path, entries: Sequence[Entry]) -> None:
    """Write the entries beside a page."""
    page.with_suffix(".jsonl").write_text("".join(json.dumps(asdict(it)) + "\n" for it in entries))
