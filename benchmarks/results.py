"""What was measured, as JSON, so that a long run can be made in parts. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from benchmarks.goals import Figure, Side
from benchmarks.table import Measured

Rows = Mapping[str, Sequence[Measured]]


def dumped(rows: Rows) -> str:
    """Return the JSON of all rows."""
    return json.dumps(
        {
            name: [{"key": m.figure.key, "samples": m.samples, "failures": m.failures} for m in measured]
            for name, measured in rows.items()
        },
        indent=1,
    )


def loaded(text: str, figures: Mapping[str, Sequence[Figure]]) -> dict[str, list[Measured]]:
    """Return what `dumped` wrote, with the rows' present titles and goals; figures that are gone are left out."""
    found = {}
    for name, lines in json.loads(text).items():
        known = {figure.key: figure for figure in figures.get(name, ())}
        found[name] = [
            Measured(
                known[line["key"]],
                {Side(side): samples for side, samples in line["samples"].items()},
                {Side(side): why for side, why in line["failures"].items()},
            )
            for line in lines
            if line["key"] in known
        ]
    return found
