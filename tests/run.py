"""``make test``: the checks, then every test, in one command; ends with pytest's own count.

On a machine that cannot host the cluster its tests are skipped, with the reason on screen and counted;
``REMORA_REQUIRE_CLUSTER=1`` turns such a skip into a failure.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent

CHECKS: tuple[tuple[str, ...], ...] = (
    ("ruff", "format", "--check", "--quiet", "."),
    ("ruff", "check", "--quiet", "."),
    ("mypy",),
    ("lint-imports",),
    ("python", "-m", "remora_api", "generate", "--check"),
    ("python", "-m", "tests.compatibility", "--check"),
)


def run(argv: Sequence[str]) -> int:
    """Run one command of the environment, say how long it took, return its exit status."""
    began = time.monotonic()
    print(f"── {' '.join(argv)}", flush=True)
    status = subprocess.run([str(BIN / argv[0]), *argv[1:]], cwd=ROOT, check=False).returncode
    print(
        f"── {argv[0]}: {'ok' if status == 0 else f'failed with {status}'} in {time.monotonic() - began:.1f} s",
        flush=True,
    )
    return status


def main() -> int:
    """Run the checks and the tests; the first failing check does not hide the tests."""
    failed = [argv[0] for argv in CHECKS if run(argv)]
    tests = run(("pytest", "-q", "--durations=15", *sys.argv[1:]))
    if failed:
        print(f"failed checks: {', '.join(failed)}", flush=True)
    return 1 if failed or tests else 0


if __name__ == "__main__":
    raise SystemExit(main())
