"""`remora exec script.py`: runs a program in which `from ray import serve` is Remora, so `serve.run` serves here.

As `python` does it: `remora exec script.py ARGUMENT …`, `remora exec -m package.module …`, `remora exec -` for a
program on standard input. The exit code is the program's.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from remora.cli.output import say

USAGE = """usage: remora exec (SCRIPT | -m MODULE | -) [ARGUMENT …]

Runs a Python program as `python` would, with `from ray import serve` being Remora.
"""


def main(arguments: Sequence[str]) -> int:
    """Run the program as `python` would; what it raises, SystemExit too, is raised."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, end="")  # noqa: T201 - the command line talks to its user
        return 0 if arguments else 2
    first, *rest = arguments
    if first == "-m" and not rest:
        say("exec -m needs the name of a module")
        return 2
    if first.startswith("-") and first not in ("-", "-m"):
        say(f"exec takes no option {first}: what is for the program stands after its name")
        return 2
    if first not in ("-", "-m") and not Path(first).is_file():
        say(f"{first} cannot be read: there is no such file")
        return 2

    from remora.compat import alias

    alias.install()
    if first == "-m":
        _module(rest)
    elif first == "-":
        _standard_input(rest)
    else:
        _script(Path(first), rest)
    return 0


def _script(path: Path, arguments: Sequence[str]) -> None:
    sys.argv = [str(path), *arguments]
    sys.path.insert(0, str(path.resolve().parent))
    runpy.run_path(str(path), run_name="__main__")


def _module(words: Sequence[str]) -> None:
    name, *arguments = words
    # `run_module` puts the file's name in the first place.
    sys.argv = [name, *arguments]
    sys.path.insert(0, "")
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def _standard_input(arguments: Sequence[str]) -> None:
    sys.argv = ["-", *arguments]
    sys.path.insert(0, "")
    program = compile(sys.stdin.read(), "<stdin>", "exec")
    import __main__

    exec(program, __main__.__dict__)
