"""What of Ray Serve Remora has: the rows of `table.toml`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from remora.compat.ray_serve_names import NAMES

TABLE = Path(__file__).parent / "table.toml"
TESTS = Path(__file__).parents[1]
AREA = "area:"
EVERY = "*"
"""In the place of a name: all names of the module that have no row of their own."""


class State(StrEnum):
    """How a name fares."""

    WORKS = "works"
    DIFFERS = "differs"
    NOT_YET = "not yet"


@dataclass(frozen=True, slots=True)
class Row:
    """One public name, option, header or command."""

    section: str
    name: str
    state: State
    words: str = ""
    """How it differs, or why it is not there."""
    case: str = ""
    """The test that shows it: ``unit/test_handle.py::test_…`` below `tests`; empty for what is not there."""

    @property
    def is_name(self) -> bool:
        """Whether it can be imported, or should be."""
        return not self.section.startswith(AREA)


def rows(path: Path = TABLE) -> tuple[Row, ...]:
    """Return all rows in the file's order; raise ValueError for one that says neither case nor not_yet."""
    sections: Mapping[str, Mapping[str, Mapping[str, str]]] = tomllib.loads(path.read_text())
    return tuple(
        row
        for section, entries in sections.items()
        for name, entry in entries.items()
        for row in _rows(section, name, entry, entries)
    )


def _rows(section: str, name: str, entry: Mapping[str, str], others: Mapping[str, object]) -> list[Row]:
    names = sorted(NAMES[section] - others.keys()) if name == EVERY else [name]
    return [_row(section, each, entry) for each in names]


def _row(section: str, name: str, entry: Mapping[str, str]) -> Row:
    match entry:
        case {"not_yet": str(why), **rest} if not rest:
            return Row(section, name, State.NOT_YET, why)
        case {"case": str(case), "differs": str(how), **rest} if not rest:
            return Row(section, name, State.DIFFERS, how, case)
        case {"case": str(case), **rest} if not rest:
            return Row(section, name, State.WORKS, "", case)
    raise ValueError(f"table.toml: {section} {name}: give case, case and differs, or not_yet, and nothing else")


def has_case(case: str) -> bool:
    """Whether there is a test function, or a table of them, by this name."""
    file, _, name = case.partition("::")
    return name in _functions(TESTS / file)


@cache
def _functions(path: Path) -> frozenset[str]:
    text = path.read_text() if path.exists() else ""
    return frozenset(re.findall(r"^(?:async )?def (test_\w+)", text, re.MULTILINE))
