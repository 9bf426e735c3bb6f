"""The command line: one module for each command, imported only when it is given, so that a proxy never imports Ray."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Final

COMMANDS: Final = {
    "run": ("remora.cli.run", "serve applications on this machine"),
    "convert": ("remora.cli.convert", "write manifests from a Ray Serve config file"),
    "build": ("remora.cli.build", "write a manifest from code"),
    "exec": ("remora.cli.exec", "run a Python script that calls serve.run"),
    "proxy": ("remora.proxy", "serve HTTP for applications (a proxy pod)"),
    "controller": ("remora.cli.controller", "start, watch and replace replicas (in the head pod)"),
    "head": ("remora.node.head", "run Ray's head (in the head pod)"),
    "worker": ("remora.node.worker", "run a Ray node that holds replicas (a worker pod)"),
    "controller-status": ("remora.cli.controller_status", "print what a controller knows"),
}
"""Command → module with `main(arguments) -> exit code`, and what it does."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the arguments begin with, and return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage(), end="")  # noqa: T201 - the command line talks to its user
        return 0 if arguments else 2
    command, *rest = arguments
    if command not in COMMANDS:
        print(f"remora: there is no command {command!r}\n\n{_usage()}", end="", file=sys.stderr)  # noqa: T201 - as above
        return 2
    module = importlib.import_module(COMMANDS[command][0])
    code: int = module.main(rest)
    return code


def _usage() -> str:
    lines = (f"  {name:<18} {what}" for name, (_, what) in COMMANDS.items())
    return "usage: remora COMMAND …\n\n" + "\n".join(lines) + "\n\n`remora COMMAND --help` tells more.\n"
