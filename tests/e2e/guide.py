"""The commands of a page of the documentation, and what it says that they print."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One block of commands."""

    line: int
    """Where it stands in the page."""
    commands: str
    prints: tuple[str, ...] = ()
    """Lines that their output has among others, in this order; … stands for anything."""

    def missing(self, output: str) -> str | None:
        """Return the first line that the output does not have where it should; None if all are there."""
        lines = iter(_spaced(line) for line in output.splitlines())
        for wanted in self.prints:
            pattern = re.compile(".*".join(re.escape(part) for part in _spaced(wanted).split("…")))
            if not any(pattern.fullmatch(line) for line in lines):
                return wanted
        return None


def steps(page: str) -> list[Step]:
    """Return the steps of a page: its `sh` blocks, each with the block without a language that follows, if one does."""
    found: list[Step] = []
    for block in re.finditer(r"^```(\w*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        line = page[: block.start()].count("\n") + 1
        if block[1] == "sh":
            found.append(Step(line, block[2]))
        elif not block[1] and found:
            last = found[-1]
            found[-1] = Step(last.line, last.commands, (*last.prints, *block[2].splitlines()))
    return found


def _spaced(line: str) -> str:
    """Return a line with one space where there are several: columns are as wide as what is in them."""
    return " ".join(line.split())
