"""`remora build`: writes the ServeApplication manifest of an application in code, with the options it has there."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from remora.cli.output import arguments as builder_arguments
from remora.cli.output import say, write
from remora.errors import RemoraError
from remora.local import code, graph
from remora.local.manifest import read
from remora.serve_config import manifests


def main(arguments: Sequence[str]) -> int:
    """Import the code in a process of its own, and write what it says."""
    parser = argparse.ArgumentParser(prog="remora build", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("import_path", help="module:app")
    parser.add_argument("-o", "--output", type=Path, help="file to write to (default: stdout)")
    parser.add_argument("--name", help="name of the application (default: the module's)")
    parser.add_argument("--arg", action="append", default=[], metavar="K=V", help="builder argument; may be repeated")
    parser.add_argument("--code", type=Path, help="folder with the code, to be laid into the manifest")
    given = parser.parse_args(arguments)
    # Modules of the user's lie where the command is given.
    sys.path.insert(0, "")
    try:
        (application,) = read(given.import_path, args=builder_arguments(given.arg)).applications
        target = application.target
        built = asyncio.run(graph.build(target))
        files = code.files_in(given.code) if given.code else {}
    except RemoraError as error:
        if trace := getattr(error, "trace", ""):
            say(trace)
        say(str(error))
        return 1
    converted = manifests.from_build(given.name or target.application, target.import_path, target.args, built, files)
    for note in converted.notes:
        say(f"not carried over: {note}")
    return write(manifests.text([converted]), given.output)
