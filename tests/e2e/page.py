"""Pages of `docs/results/`: each run of a long test adds what it found, with date, commit, command and machine."""

from __future__ import annotations

import os
import subprocess
from datetime import datetime
from pathlib import Path

from tests.e2e.stage import ROOT


def commit() -> str:
    """Return the short id of what is checked out."""
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def machine() -> str:
    """Return what the run has to itself, in words."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB"


def heading(began: datetime, command: str) -> list[str]:
    """Return the lines above what one run found."""
    return [
        "",
        f"## {began:%Y-%m-%d %H:%M} UTC, commit {commit()}",
        "",
        f"`{command}`",
        f"on a machine of {machine()}.",
        "",
    ]


def add(page: Path, head: str, lines: list[str]) -> None:
    """Add lines to a page, which begins with `head`."""
    page.parent.mkdir(parents=True, exist_ok=True)
    before = page.read_text() if page.exists() else head
    page.write_text(before + "\n".join([*lines, ""]))
