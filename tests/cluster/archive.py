"""Archive: an image as a tar file that holds only the blobs which a node lacks.

Reads the OCI layout that `images` keeps. After a change of our code the dependencies,
hundreds of megabytes, are on the node already, and a few kilobytes travel.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REFERENCE = "org.opencontainers.image.ref.name"
Descriptor = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Layout:
    """An OCI layout on disk."""

    folder: Path

    def names(self) -> dict[str, Descriptor]:
        """Every image by name."""
        return {name: entry for entry in self._entries() if (name := _name(entry)) is not None}

    def digest(self, name: str) -> str | None:
        entry = self.names().get(name)
        return None if entry is None else str(entry["digest"])

    def blobs(self, name: str) -> list[str]:
        """Digests of the image's manifest, configuration and layers."""
        digest = str(self.names()[name]["digest"])
        manifest = json.loads(self.path(digest).read_text())
        return [digest, manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])]

    def path(self, digest: str) -> Path:
        algorithm, _, value = digest.partition(":")
        return self.folder / "blobs" / algorithm / value

    def sweep(self) -> None:
        """Remove images that lost their name to a later build, and blobs that no image needs any more."""
        named = list(self.names().values())
        self._index.write_text(json.dumps({"schemaVersion": 2, "manifests": named}))
        needed = {self.path(digest) for name in self.names() for digest in self.blobs(name)}
        for path in (self.folder / "blobs").glob("*/*"):
            if path not in needed:
                path.unlink()

    @property
    def _index(self) -> Path:
        return self.folder / "index.json"

    def _entries(self) -> list[Descriptor]:
        if not self._index.exists():
            return []
        entries: list[Descriptor] = json.loads(self._index.read_text())["manifests"]
        return entries


def write(layout: Layout, name: str, present: Collection[str], target: Path) -> int:
    """Write what a node with those blobs lacks of the image; return how many bytes of it are content.

    The manifest and the configuration always travel: they are what the node reads first.
    """
    entry = {**layout.names()[name], "annotations": {"io.containerd.image.name": name, REFERENCE: name}}
    manifest, configuration, *layers = layout.blobs(name)
    travelling = [manifest, configuration, *(layer for layer in dict.fromkeys(layers) if layer not in present)]
    with tarfile.open(target, "w") as tar:
        _add(tar, "oci-layout", {"imageLayoutVersion": "1.0.0"})
        _add(tar, "index.json", {"schemaVersion": 2, "manifests": [entry]})
        for digest in travelling:
            tar.add(layout.path(digest), arcname=f"blobs/{digest.replace(':', '/')}")
    return sum(layout.path(digest).stat().st_size for digest in travelling)


def _name(entry: Descriptor) -> str | None:
    """The image's name; a build that takes over a name leaves the earlier image without one."""
    name: str | None = entry.get("annotations", {}).get(REFERENCE)
    return name


def _add(tar: tarfile.TarFile, name: str, content: object) -> None:
    data = json.dumps(content).encode()
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))
