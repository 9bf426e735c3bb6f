"""The page that the benchmark writes: one table, a line a figure, and what falls short. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.goals import Figure, Goal, Samples, Side
from benchmarks.samples import ratio, spread

COLUMNS = (Side.BARE, Side.DEFAULT, Side.BEST, Side.REMORA)
NOT_MEASURED = "–"


@dataclass(frozen=True, slots=True)
class Measured:
    """One figure with what was measured of it."""

    figure: Figure
    samples: Samples
    failures: Mapping[Side, str] = field(default_factory=dict)
    """Why a side has no figure."""


def number(value: float, digits: int) -> str:
    """Return a number for people: thousands apart."""
    return f"{value:,.{digits}f}"


def cell(samples: Sequence[float] | None, digits: int) -> str:
    """Return the median with the spread of the rounds: ``12,182 ±4 %``."""
    if not samples:
        return NOT_MEASURED
    middle = number(median(samples), digits)
    return f"{middle} ±{spread(samples) / 2:.0%}".replace("%", " %") if len(samples) > 1 else middle


def goal_text(goal: Goal, figure: Figure) -> str:
    """Return what is wanted: ``≥ 70 % of bare``, ``≤ 0.25 ms``."""
    sign = "≥" if goal.bound == "at least" else "≤"
    if goal.of is None:
        return f"{sign} {number(goal.limit, figure.digits)} {figure.unit}".rstrip()
    if goal.by == "plus":
        return f"{sign} {goal.of} + {goal.limit:g} {figure.unit}".rstrip()
    if goal.limit < 1:
        return f"{sign} {goal.limit:.0%} of {goal.of}".replace("%", " %")
    return f"{sign} {goal.limit:g}× {goal.of}"


def verdict(goal: Goal, measured: Measured) -> str:
    """Return what came of a goal."""
    reached = goal.reached(measured.samples)
    met = goal.is_met(measured.samples)
    if reached is None or met is None:
        return f"{goal_text(goal, measured.figure)}: not measured"
    if goal.of is None:
        said = number(reached, measured.figure.digits)
    elif goal.by == "plus":
        said = f"{reached:+.2g}"
    else:
        said = f"{reached:.0%}".replace("%", " %") if goal.limit < 1 else f"{reached:.1f}×"
    return f"{goal_text(goal, measured.figure)}: {said} {'✓' if met else '**falls short**'}"


def shares(measured: Measured) -> str:
    """Return Remora beside each other side, in medians of ratios within a round."""
    ours = measured.samples.get(Side.REMORA)
    said = []
    for side in COLUMNS[:-1]:
        theirs = measured.samples.get(side)
        if ours and theirs and (found := ratio(ours, theirs)) is not None:
            said.append(f"{found:.2f}" if found < 10 else f"{found:.0f}")
        else:
            said.append(NOT_MEASURED)
    return " / ".join(said)


def line(measured: Measured) -> str:
    """Return the table's line of a figure."""
    figure = measured.figure
    cells = [cell(measured.samples.get(side), figure.digits) for side in COLUMNS]
    verdicts = "; ".join(verdict(goal, measured) for goal in figure.goals) or "no goal"
    title = f"{figure.title}, {figure.unit}" if figure.unit else figure.title
    return f"| {title} | {' | '.join(cells)} | {shares(measured)} | {verdicts} |"


def short_of(measured: Sequence[Measured]) -> list[str]:
    """Return the titles of the figures that miss a goal."""
    return [m.figure.title for m in measured if any(goal.is_met(m.samples) is False for goal in m.figure.goals)]


def page(measured: Sequence[Measured], *, machine: Sequence[str], how: str) -> str:
    """Return the whole page."""
    lines = ["# Benchmarks", "", *(f"* {fact}" for fact in machine), "", how, ""]
    short = short_of(measured)
    if short:
        lines += [f"**Falls short of its goal:** {'; '.join(short)}.", ""]
    columns = [str(side) for side in COLUMNS]
    lines += [f"| | {' | '.join(columns)} | Remora ÷ bare / default / best | goal |", f"|---|{'---|' * 6}"]
    lines += [line(m) for m in measured]
    failures = [f"* {m.figure.title}, {side}: {why}" for m in measured for side, why in m.failures.items()]
    if failures:
        lines += ["", "Not measured, and why:", "", *dict.fromkeys(failures)]
    return "\n".join(lines) + "\n"
