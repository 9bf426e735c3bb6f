"""`remora exec script.py`: runs a script in which `from ray import serve` is Remora, so `serve.run` serves here."""

from __future__ import annotations

import argparse
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str]) -> int:
    """Run the script as `python script.py` would."""
    parser = argparse.ArgumentParser(prog="remora exec", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("script", type=Path)
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    given = parser.parse_args(arguments)

    from remora.compat import alias

    alias.install()
    sys.argv = [str(given.script), *given.arguments]
    sys.path.insert(0, str(given.script.resolve().parent))
    runpy.run_path(str(given.script), run_name="__main__")
    return 0
