"""The table of good and bad manifests, read by the cluster's test and by the models' own.

One table for both readers is what holds the CEL rules and their Python forms together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

Manifest = dict[str, Any]
Reader = Literal["cluster", "models"]

SMALLEST: Manifest = {
    "apiVersion": "remora.dev/v1alpha1",
    "kind": "ServeApplication",
    "metadata": {"name": "hello"},
    "spec": {"importPath": "hello:app"},
}


@dataclass(frozen=True, slots=True)
class Good:
    """A manifest that must be accepted."""

    name: str
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Bad:
    """A manifest that must be refused, at which path and with which words (some differ between the readers)."""

    name: str
    manifest: Manifest
    paths: str | Mapping[Reader, str]
    says: str | Mapping[Reader, str]

    def path(self, reader: Reader) -> str:
        """Return the field that this reader has to name."""
        return self.paths if isinstance(self.paths, str) else self.paths[reader]

    def words(self, reader: Reader) -> str:
        """Return what this reader has to say."""
        return self.says if isinstance(self.says, str) else self.says[reader]


def merged(base: Any, patch: Any) -> Any:
    """Return the patch laid over the base: maps key by key, null removes, all else replaces (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    base = base if isinstance(base, dict) else {}
    kept = {key: value for key, value in base.items() if key not in patch}
    return kept | {key: merged(base.get(key), value) for key, value in patch.items() if value is not None}


def _rows(file: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / file).read_text())
    return rows


GOOD = [Good(row["name"], merged(SMALLEST, row["patch"])) for row in _rows("good.yaml")]
BAD = [Bad(row["name"], merged(SMALLEST, row["patch"]), row["path"], row["says"]) for row in _rows("bad.yaml")]
