"""Loading: puts images onto the nodes, all nodes at once, and only what they lack."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from . import archive, store
from .archive import Layout
from .places import Places
from .progress import step
from .topology import NODES, Node


def load(names: Sequence[str], places: Places) -> None:
    """Make every node hold these images as they are in the layout."""
    layout = Layout(places.images)
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(_load_node, node, names, layout, places) for node in NODES]:
            done.result()


def _load_node(node: Node, names: Sequence[str], layout: Layout, places: Places) -> None:
    held = store.digests(node, places)
    for name in names:
        if held.get(name) == layout.digest(name):
            continue
        with step(f"loading {name} into {node.name}"), TemporaryDirectory(dir=places.state) as folder:
            tar = Path(folder) / "image.tar"
            with store.kept(node, places, name if name in held else None):
                archive.write(layout, name, store.blobs(node, places), tar)
                store.ctr(node, places, "images", "import", str(tar))
