"""The benchmark's image: made from the runtime image, wrk of this machine, and the programs."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import tools
from benchmarks.sides import ROOT
from tests.cluster.recipes import RUNTIME, Recipe, ours

IMAGE = "remora.dev/bench:dev"
OF_LIBC = ("libc.so", "libm.so", "libpthread.so", "ld-linux")
"""Parts of the C library, which the image has itself: those of another build would not fit it."""


@contextmanager
def recipe() -> Iterator[Recipe]:
    """Give the recipe, whose context lasts as long as the block; raises CannotInstall without wrk."""
    tools.wrk()
    with TemporaryDirectory() as folder:
        context = Path(folder)
        put("wrk", context / "wrk")
        shutil.copytree(ROOT / "benchmarks", context / "benchmarks", ignore=shutil.ignore_patterns("__pycache__"))
        runtime = next(it for it in ours() if it.image == RUNTIME)
        (context / "runtime").write_text(runtime.fingerprint())
        parts = tuple(context / name for name in ("wrk", "benchmarks", "runtime"))
        yield Recipe(IMAGE, context / "benchmarks" / "in_cluster" / "Dockerfile", context, parts)


def libraries(ldd: str) -> list[Path]:
    """Return the files that a program needs beside the C library, from what `ldd` says of it."""
    found = re.findall(r"=> (/\S+)", ldd)
    return [Path(it) for it in found if not Path(it).name.startswith(OF_LIBC)]


def put(program: str, folder: Path) -> None:
    """Put a program of this machine into a folder, which is copied to `/opt/PROGRAM`, with the libraries it needs."""
    found = shutil.which(program)
    assert found is not None, f"{program} is on this machine's path"
    said = subprocess.run(["ldd", found], capture_output=True, text=True, check=True).stdout
    for name in ("bin", "lib"):
        (folder / name).mkdir(parents=True)
    shutil.copy(found, folder / "lib" / program)
    for library in libraries(said):
        shutil.copy(library, folder / "lib" / library.name)
    start = folder / "bin" / program
    start.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH=/opt/{program}/lib exec /opt/{program}/lib/{program} "$@"\n')
    start.chmod(0o755)
