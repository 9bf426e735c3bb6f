"""The record of rollouts under load: what was written is read, and the page is the sum of all lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.e2e.record import Entry, append, page, read


def entry(kind: str, **given: Any) -> Entry:
    fields: dict[str, Any] = {
        "began": "2026-11-21T10:00:00+00:00",
        "commit": "abc1234",
        "machine": "2 cores, 24 GiB",
        "long_s": 5.0,
        "kind": kind,
        "rollouts": 2,
        "requests": 1000,
        "long": 10,
        "failed": 0,
        "peak_pods": 3,
        "allowed_pods": 3,
        "seconds": (4.0, 6.0),
        "p99_ms": 50.0,
    }
    return Entry(**fields | given)


def test_what_was_appended_is_read(tmp_path: Path) -> None:
    entries = [entry("code"), entry("head", faults=("head: 7 worker pods, 6 are allowed",))]
    assert read(tmp_path / "none.jsonl") == []
    for it in entries:
        append(tmp_path / "sub" / "rollouts.jsonl", it)
    assert read(tmp_path / "sub" / "rollouts.jsonl") == entries


def test_the_page_is_the_sum_by_kind_and_by_commit() -> None:
    entries = [
        entry("head", seconds=(20.0, 40.0)),
        entry("code"),
        entry(
            "code", commit="def5678", began="2026-11-21T11:30:00+00:00", rollouts=3, seconds=(5.0, 5.0, 30.0), failed=1
        ),
    ]
    lines = page(entries, ["code", "canary", "head"]).splitlines()
    assert "| code | 5 | 2,000 | 20 | 1 | 3 (3) | 5 / 30 | 50 |" in lines
    assert "| head | 2 | 1,000 | 10 | 0 | 3 (3) | 30 / 40 | 50 |" in lines
    assert "| **all** | 7 | 3,000 | 30 | 1 |  |  |  |" in lines
    assert "| abc1234 | 2026-11-21 10:00 – 2026-11-21 10:00 | 2 cores, 24 GiB | 5 | 1 | 4 | 2,000 | 0 |" in lines
    assert "| def5678 | 2026-11-21 11:30 – 2026-11-21 11:30 | 2 cores, 24 GiB | 5 | 1 | 3 | 1,000 | 1 |" in lines
    assert not any(line.startswith("| canary") for line in lines)
    assert "What was not" not in "\n".join(lines)


def test_what_was_not_as_it_has_to_be_stands_below() -> None:
    text = page([entry("head", faults=("head: 7 worker pods, 6 are allowed",))], ["head"])
    assert "* 2026-11-21 10:00, commit abc1234: head: 7 worker pods, 6 are allowed" in text.splitlines()


def test_what_never_came_to_rest_is_a_row_without_figures() -> None:
    lost = entry("head", rollouts=0, requests=0, long=0, seconds=(), p99_ms=0.0, faults=("head: has not come to rest",))
    assert "| head | 0 | 0 | 0 | 0 | 3 (3) |  |  |" in page([lost], ["head"]).splitlines()
    assert (
        "| head | 2 | 1,000 | 10 | 0 | 3 (3) | 4 / 6 | 50 |"
        in page([lost, entry("head", seconds=(4.0, 4.0, 6.0))], ["head"]).splitlines()
    )
