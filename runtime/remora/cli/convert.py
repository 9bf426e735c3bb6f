"""`remora convert`: writes the ServeApplication manifests of a Ray Serve config file, one for each application."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from remora.cli.output import say, write
from remora.errors import RemoraError
from remora.local import code, manifest
from remora.local.subject import CannotRead
from remora.serve_config import file, manifests, targets


def main(arguments: Sequence[str]) -> int:
    """Write the manifests, and on stderr a sentence for each thing that they do not hold."""
    parser = argparse.ArgumentParser(prog="remora convert", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("config", type=Path, help="config.yaml, as `serve run` and `serve deploy` take it")
    parser.add_argument("-o", "--output", type=Path, help="file to write to (default: stdout)")
    parser.add_argument("--code", type=Path, help="folder with the code, to be laid into the manifests")
    given = parser.parse_args(arguments)
    try:
        converted = _converted(given.config, given.code)
    except RemoraError as error:
        say(str(error))
        return 1
    for one in converted:
        for note in one.notes:
            say(f"{one.manifest['metadata']['name']}: not carried over: {note}")
    return write(manifests.text(converted), given.output)


def _converted(path: Path, folder: Path | None) -> tuple[manifests.Converted, ...]:
    documents = manifest.documents_in(path)
    if len(documents) != 1 or not file.is_config(documents[0]):
        raise CannotRead(f"{path} is no Serve config: it has neither applications nor an import_path")
    config = manifest.config_in(path, documents[0])
    files = {}
    for application in config.applications:
        given = application.runtime_env.working_dir
        if folder is None and targets.is_fetched(given):
            raise CannotRead(
                f"{path}: runtime_env.working_dir {given!r}: fetch and unpack it, and name its folder with --code"
            )
        place = folder or manifest.working_dir(given, path)
        if place is not None:
            files[application.name] = code.files_in(place)
    converted = manifests.from_config(config, files)
    for one in converted:
        manifest.resource(one.manifest)
    return converted
