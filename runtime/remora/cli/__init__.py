"""The command line: one module for each command, imported only when it is given, so that a proxy never imports Ray."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import Final

GROUPS: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {
    "On this machine": {
        "run": ("remora.cli.run", "serve applications: app.yaml, a Ray Serve config, or module:app"),
        "exec": ("remora.cli.exec", "run a Python program that calls serve.run"),
        "status": ("remora.cli.status", "say what `remora run` serves"),
    },
    "For a cluster": {
        "build": ("remora.cli.build", "write a manifest from code"),
        "rollout": ("remora.cli.rollout", "look at a rollout and steer it: status, undo, promote, abort, …"),
        "convert": ("remora.cli.convert", "write manifests from a Ray Serve config file"),
    },
    "In its pods": {
        "proxy": ("remora.proxy", "serve HTTP for applications (a proxy pod)"),
        "controller": ("remora.cli.controller", "start, watch and replace replicas (in the head pod)"),
        "controller-status": ("remora.cli.controller_status", "print what a controller knows"),
        "head": ("remora.node.head", "run Ray's head (in the head pod)"),
        "worker": ("remora.node.worker", "run a Ray node that holds replicas (a worker pod)"),
    },
}
"""Title → command → module with `main(arguments) -> exit code`, and what it does."""

INTERRUPTED: Final = 130
"""As shells have it for Ctrl-C: 128 and the signal's number."""
COMMANDS: Final = {name: command for commands in GROUPS.values() for name, command in commands.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the arguments begin with, and return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage(), end="")  # noqa: T201 - the command line talks to its user
        return 0 if arguments else 2
    if arguments[0] in ("-V", "--version"):
        from remora import __version__

        print(f"remora {__version__}")  # noqa: T201 - as above
        return 0
    command, *rest = arguments
    if command not in COMMANDS:
        close = difflib.get_close_matches(command, COMMANDS, n=1)
        said = f"did you mean `remora {close[0]}`?" if close else _usage()
        print(f"remora: there is no command {command!r}: {said}", file=sys.stderr)  # noqa: T201 - as above
        return 2
    try:
        module = importlib.import_module(COMMANDS[command][0])
        code: int = module.main(rest)
    except KeyboardInterrupt:
        # Before the command has taken on the signal, or in one that simply ends.
        return INTERRUPTED
    return code


def _usage() -> str:
    lines = ["usage: remora COMMAND …", ""]
    for title, commands in GROUPS.items():
        lines += [f"{title}:", *(f"  {name:<18} {what}" for name, (_, what) in commands.items()), ""]
    return "\n".join([*lines, "`remora COMMAND --help` tells more; `remora --version` says which this is.", ""])
