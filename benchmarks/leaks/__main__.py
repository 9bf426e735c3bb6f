"""``make soak-leaks``: a million requests, 10,000 cancelled, 10,000 disconnected mid-stream, and what is left of them.

    python -m benchmarks.leaks [--answered 1000000] [--cancelled 10000] [--disconnected 10000] [--out FILE]

The exit code is 1 when a process holds more than before: a task, a stream, a connection, …, or memory beyond the slack.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from random import Random

from benchmarks import machine
from benchmarks.leaks.servers import Held
from benchmarks.leaks.soak import COUNTS, Amount, Found, soak
from benchmarks.sides import ROOT

SLACK_MB = 10.0
"""What an allocator keeps after the busiest moment; one object of 100 bytes a request would be 100 MB."""
SLACK_OBJECTS = 500
"""Caches that are not full yet; one for each cancelled request would be 10,000."""


def beyond(found: Found, slack_mb: float = SLACK_MB, slack_objects: int = SLACK_OBJECTS) -> list[str]:
    """Return a sentence for everything that a process holds more than before."""
    said = []
    for process, before in found.before.items():
        after = found.after[process]
        limits = {**dict.fromkeys(COUNTS, 0), "objects": slack_objects, "resident_mb": slack_mb}
        for name, slack in limits.items():
            was, now = getattr(before, name), getattr(after, name)
            if now > was + slack:
                said.append(f"{process}: {name} {was:g} before, {now:g} after")
    return said


def table(found: Found) -> str:
    """Return what was held, before → after."""
    names = [field.name for field in fields(Held)]
    lines = [f"| | {' | '.join(name.replace('_', ' ') for name in names)} |", f"|---|{'---|' * len(names)}"]
    for process, before in found.before.items():
        cells = [f"{getattr(before, name):,.5g} → {getattr(found.after[process], name):,.5g}" for name in names]
        lines.append(f"| {process} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Soak, print, and write the page if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answered", type=int, default=1_000_000)
    parser.add_argument("--cancelled", type=int, default=10_000)
    parser.add_argument("--disconnected", type=int, default=10_000)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    amount = Amount(given.answered, given.cancelled, given.disconnected)
    warm_up = Amount(20_000, 400, 400)
    found = asyncio.run(soak(amount, warm_up, Random(1)))
    leaks = beyond(found)
    verdict = "Nothing is left." if not leaks else "Left: " + "; ".join(leaks) + "."
    print(f"{table(found)}\n\n{found.seconds:.0f} s. {verdict}")
    if given.out is not None:
        given.out.write_text(_page(amount, warm_up, found, verdict))
    return 1 if leaks else 0


def _page(amount: Amount, warm_up: Amount, found: Found, verdict: str) -> str:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    command = (
        f"python -m benchmarks.leaks --answered {amount.answered} --cancelled {amount.cancelled}"
        f" --disconnected {amount.disconnected}"
    )
    facts = "\n".join(f"* {fact}" for fact in machine.facts(None))
    return (
        f"# Leaks\n\n{facts}\n* commit {commit.stdout.strip() or 'unknown'}\n\n"
        f"`{command}` (`make soak-leaks` with its numbers: a million, 10,000, 10,000), {found.seconds:.0f} s:\n"
        f"{amount.answered:,} answered requests that each made a handle call, {amount.cancelled:,} cancelled (half by\n"
        f"clients that went while they waited, half by user code), {amount.disconnected:,} clients that went in the\n"
        f"middle of a stream; all at the same time, after a warm-up of {warm_up.answered:,}, {warm_up.cancelled} and\n"
        f"{warm_up.disconnected}. Before → after:\n\n{table(found)}\n\n{verdict}\n"
        "`tests/integration/test_leaks.py` does the same with smaller numbers.\n"
    )


if __name__ == "__main__":
    sys.exit(main())
