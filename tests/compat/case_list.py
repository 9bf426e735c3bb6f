"""Which cases there are: read from the files, so that neither side has to run for it."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent
CASES = HERE / "cases"
NOT_YET = HERE / "not_yet.toml"


def all_cases(folder: Path = CASES) -> list[str]:
    """Return every case as ``handles::name``, in the order of files and lines."""
    return [
        f"{path.stem.removeprefix('test_')}::{node.name.removeprefix('test_')}"
        for path in sorted(folder.glob("test_*.py"))
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


def not_yet(path: Path = NOT_YET) -> Mapping[str, str]:
    """Return the cases that Remora does not pass yet, each with the reason."""
    return {
        f"{area}::{name}": reason
        for area, cases in tomllib.loads(path.read_text()).items()
        for name, reason in cases.items()
    }


def node_id(case: str) -> str:
    """Return what pytest calls a case."""
    area, _, name = case.partition("::")
    return f"test_{area}.py::test_{name}"
