"""No files import each other in a circle, be it for types, inside a function or by name. Those that do stand here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

import grimp

PACKAGES = ("remora_api", "remora_operator", "remora")
BY_NAME = re.compile(r"import_module\(\s*\"([\w.]+)\"")

KNOWN = (
    # What users write refers to itself: deployments make applications, whose methods make nodes, and all chain all.
    frozenset(f"remora.graph.{name}" for name in ("application", "chain", "deployment", "foreign", "node"))
    | {"remora.handle.flow"},
)
"""Files that may refer to each other."""


def imports() -> dict[str, set[str]]:
    """What each module imports."""
    graph = grimp.build_graph(*PACKAGES)
    found = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    for module in found:
        spec = find_spec(module)
        assert spec is not None
        assert spec.origin is not None
        found[module] |= found.keys() & set(BY_NAME.findall(Path(spec.origin).read_text()))
    return found


def reached(arrows: Mapping[str, set[str]], start: str) -> set[str]:
    """All that a module leads to; itself where that is so."""
    found: set[str] = set()
    ahead = [*arrows[start]]
    while ahead:
        module = ahead.pop()
        if module not in found:
            found.add(module)
            ahead += arrows[module]
    return found


def circles(arrows: Mapping[str, set[str]]) -> Iterator[frozenset[str]]:
    """The largest sets of modules of which each leads to all others."""
    ways = {module: reached(arrows, module) for module in arrows}
    yield from {frozenset(it for it in way if module in ways[it]) for module, way in ways.items() if module in way}


def test_circles_are_found() -> None:
    arrows = {"a": {"b", "d"}, "b": {"c"}, "c": {"a"}, "d": {"e"}, "e": {"d", "f"}, "f": set[str]()}
    assert set(circles(arrows)) == {frozenset("abc"), frozenset("de")}


def test_imports_by_name_count() -> None:
    assert "remora.visitor" in imports()["remora.handle.runtime"]


def test_no_files_import_each_other() -> None:
    found = [sorted(it) for it in circles(imports()) if not any(it <= known for known in KNOWN)]
    assert not found, "move what they share to the file that owns it, or pass it as an argument"
