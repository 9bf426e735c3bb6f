"""The page on compatibility, as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby

from tests.compatibility.table import AREA, Row, State

HEAD = """\
<!-- Made by `python -m tests.compatibility` of tests/compatibility/table.toml, which tests hold to the code. -->
# Compatibility with Ray Serve 2.60

Programs written for Ray Serve run as they are: `from ray import serve` is Remora under `remora run`, `remora exec`, in
the pods, and under pytest with `-p remora.pytest`. This page has every public name of Ray Serve 2.60, and what it comes
to here:

* **works**: it imports, and the test beside it shows that it does what it does in Ray Serve;
* **differs**: as above, but for what is said;
* **not yet**: importing it is an error that says so, or, for an option, a warning.

What Remora has and Ray Serve has not is in the [reference](serveapplication.md) and the guides.
"""


def text(rows: Sequence[Row]) -> str:
    """Return the whole page."""
    return "\n".join([HEAD, *_summary(rows), *(line for part in _sections(rows) for line in part)])


def _summary(rows: Sequence[Row]) -> Iterator[str]:
    count = Counter(row.state for row in rows)
    yield "| " + " | ".join(state.value for state in State) + " | in all |"
    yield "|" + "---:|" * (len(State) + 1)
    yield "| " + " | ".join(str(count[state]) for state in State) + f" | {len(rows)} |"
    yield ""


def _sections(rows: Sequence[Row]) -> Iterator[list[str]]:
    for section, found in groupby(rows, key=lambda row: row.section):
        title = section.removeprefix(AREA) if section.startswith(AREA) else f"`{section}`"
        lines = [f"## {title}", ""]
        some = list(found)
        if all(row.state is State.NOT_YET and row.words == some[0].words for row in some) and len(some) > 3:
            names = ", ".join(f"`{row.name}`" for row in some)
            lines += [f"**not yet**, all of them ({some[0].words}): {names}", ""]
        else:
            lines += ["| name | | | shown by |", "|---|---|---|---|", *(_line(row) for row in some), ""]
        yield lines


def _line(row: Row) -> str:
    words = row.words.replace("|", "\\|")
    file, _, case = row.case.partition("::")
    shown = f"[{case.removeprefix('test_').replace('_', ' ')}](../../tests/{file})" if case else ""
    return f"| `{row.name}` | {row.state.value} | {words} | {shown} |"
