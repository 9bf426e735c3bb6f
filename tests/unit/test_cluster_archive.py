"""Only what a node lacks of an image travels."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

from tests.cluster.archive import REFERENCE, Layout, write

NAME = "remora.dev/runtime:dev"


def _blob(folder: Path, content: bytes) -> str:
    value = hashlib.sha256(content).hexdigest()
    path = folder / "blobs" / "sha256" / value
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return f"sha256:{value}"


def _layout(folder: Path) -> tuple[Layout, list[str]]:
    """An image of two layers, and an older one that lost its name."""
    layers = [_blob(folder, b"dependencies"), _blob(folder, b"code")]
    manifest = {"config": {"digest": _blob(folder, b"{}")}, "layers": [{"digest": layer} for layer in layers]}
    entry = {"digest": _blob(folder, json.dumps(manifest).encode()), "annotations": {REFERENCE: NAME}}
    nameless = {"digest": _blob(folder, b"older")}
    (folder / "index.json").write_text(json.dumps({"manifests": [nameless, entry]}))
    return Layout(folder), layers


def _members(path: Path) -> set[str]:
    with tarfile.open(path) as tar:
        return set(tar.getnames())


def test_a_layer_that_the_node_has_stays_here(tmp_path: Path) -> None:
    layout, (dependencies, code) = _layout(tmp_path / "layout")
    write(layout, NAME, {dependencies}, tmp_path / "image.tar")
    members = _members(tmp_path / "image.tar")
    assert f"blobs/{code.replace(':', '/')}" in members
    assert f"blobs/{dependencies.replace(':', '/')}" not in members


def test_manifest_and_configuration_travel_always(tmp_path: Path) -> None:
    layout, _ = _layout(tmp_path / "layout")
    everything = layout.blobs(NAME)
    write(layout, NAME, everything, tmp_path / "image.tar")
    blobs = {f"blobs/{digest.replace(':', '/')}" for digest in everything[:2]}
    assert _members(tmp_path / "image.tar") == {"oci-layout", "index.json", *blobs}


def test_an_image_without_a_name_is_not_listed_and_is_swept_away(tmp_path: Path) -> None:
    layout, _ = _layout(tmp_path)
    assert set(layout.names()) == {NAME}
    layout.sweep()
    kept = {f"sha256:{path.name}" for path in (tmp_path / "blobs").glob("*/*")}
    assert kept == set(layout.blobs(NAME))
    assert len(json.loads((tmp_path / "index.json").read_text())["manifests"]) == 1


def test_a_layout_that_is_not_there_holds_no_image(tmp_path: Path) -> None:
    assert Layout(tmp_path).digest(NAME) is None
