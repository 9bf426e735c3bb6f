"""Pages of `docs/results/`: each run of a long test adds what it found, with date, commit, command and machine."""

from __future__ import annotations

import os
import subprocess
from datetime import datetime
from pathlib import Path

from tests.e2e.stage import ROOT


def heading(began: datetime, command: str) -> list[str]:
    """Return the lines above what one run found."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return [
        "",
        f"## {began:%Y-%m-%d %H:%M} UTC, commit {commit}",
        "",
        f"`{command}`",
        f"on {os.cpu_count()} cores and {memory:.0f} GiB.",
        "",
    ]


def add(page: Path, head: str, lines: list[str]) -> None:
    """Add lines to a page, which begins with `head`."""
    page.parent.mkdir(parents=True, exist_ok=True)
    before = page.read_text() if page.exists() else head
    page.write_text(before + "\n".join([*lines, ""]))
