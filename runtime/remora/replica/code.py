"""User code on a worker: fetched once per digest, and laid into a folder that replicas and builds share."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from remora.errors import RemoraError
from remora_api.wire import CodeBundle

if TYPE_CHECKING:
    from remora.http_client import SignedClient


async def lay_out(digest: str, client: SignedClient, scratch: Path) -> Path | None:
    """Return the folder with the bundle's files, fetching them unless they are here; None without a bundle."""
    if not digest:
        return None
    folder = scratch / "code" / digest
    if not folder.is_dir():
        answer = await client.get(f"/v1/code/{digest}")
        write(CodeBundle.from_json(answer.body), folder)
    return folder


def write(bundle: CodeBundle, folder: Path) -> None:
    """Write a bundle's files so that the folder is there completely or not at all, whoever else does the same."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    for name, text in bundle.files.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise RemoraError(f"file name {name!r} in the code leads out of its folder: use a relative path")
        (partial / path).parent.mkdir(parents=True, exist_ok=True)
        (partial / path).write_text(text)
    try:
        os.rename(partial, folder)
    except OSError:
        # Another process was first; its files are the same.
        shutil.rmtree(partial)
