"""`python -m remora_operator run`: the operator's process."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from remora_operator import logs, process, settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m remora_operator", description="The Remora operator.")
    commands = parser.add_subparsers(required=True)
    commands.add_parser("run", help="run until stopped; settings come from the environment, see settings.py")
    parser.parse_args(arguments)
    try:
        chosen = settings.from_environment()
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    logs.configure(chosen.log_level)
    return asyncio.run(process.run(chosen))


if __name__ == "__main__":
    sys.exit(main())
