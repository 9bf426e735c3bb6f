"""``make test-compat``: the cases on Ray Serve and on Remora, in two columns. Fails unless both pass all of them."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.compat import sides, table
from tests.compat.case_list import all_cases

LIMIT_S = 1800
RAY_SERVE, REMORA = "Ray Serve", "Remora"


def main() -> int:
    """Run the sides that were asked for, one after the other, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.compat", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("words", nargs="*", help="run the cases that hold one of these words (default: all)")
    parser.add_argument("--only", choices=["ray-serve", "remora"], help="run one side only")
    parser.add_argument("--details", type=Path, help="file to write to what pytest says of every failure")
    given = parser.parse_args()
    cases = [case for case in all_cases() if not given.words or any(word in case for word in given.words)]
    found = {}
    if given.only != "remora":
        found[RAY_SERVE] = _side(RAY_SERVE, sides.environment_of_ray_serve(), cases)
    if given.only != "ray-serve":
        found[REMORA] = _side(REMORA, Path(sys.executable), cases)
    said = [line for name, side in found.items() for line in table.failures(cases, name, side)]
    if given.details:
        given.details.write_text("\n\n".join(said) + "\n")
    print("\n".join([*table.lines(cases, found), ""]))
    return 1 if said or not cases else 0


def _side(name: str, python: Path, cases: list[str]) -> table.Side:
    began = time.monotonic()
    result = sides.run(python, cases, limit_s=LIMIT_S)
    count = table.passed(cases, result)
    print(f"{name}: {count} of {len(cases)} cases pass, in {time.monotonic() - began:.0f} s", flush=True)
    return result


if __name__ == "__main__":
    raise SystemExit(main())
