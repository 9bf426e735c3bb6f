"""The two columns: every case, how Ray Serve ends it, how Remora does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.compat.sides import Outcome, Result

Side = Mapping[str, Result]


def lines(cases: Sequence[str], sides: Mapping[str, Side]) -> list[str]:
    """Return the table as Markdown: a row for each case, the totals last."""
    rows = [[case, *(str(side[case].outcome) for side in sides.values())] for case in cases]
    totals = ["**passed**", *(f"**{passed(cases, side)} of {len(cases)}**" for side in sides.values())]
    head = ["case", *sides]
    widths = [max(len(row[i]) for row in [head, totals, *rows]) for i in range(len(head))]
    text = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    first = "| " + " | ".join(cell.ljust(width) for cell, width in zip(head, widths, strict=True)) + " |"
    last = "| " + " | ".join(cell.ljust(width) for cell, width in zip(totals, widths, strict=True)) + " |"
    return [first, "|" + "|".join("-" * (width + 2) for width in widths) + "|", *text, last]


def passed(cases: Sequence[str], side: Side) -> int:
    """Return how many of the cases a side passes."""
    return sum(side[case].outcome is Outcome.PASSED for case in cases)


def failures(cases: Sequence[str], name: str, side: Side) -> list[str]:
    """Return what is to be said of each case that a side fails."""
    return [f"── {name}: {case}\n{side[case].text}" for case in cases if side[case].outcome is not Outcome.PASSED]
