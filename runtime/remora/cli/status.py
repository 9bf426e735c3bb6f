"""`remora status`: says what a `remora run` on this machine serves, and whether it is ready."""

from __future__ import annotations

import argparse
import json
import urllib.error
import urllib.request
from collections.abc import Sequence

from remora.cli.output import say

TIMEOUT_S = 5.0


def main(arguments: Sequence[str]) -> int:
    """Print the routes; the exit code is 1 when nothing answers, or when it is not ready."""
    parser = argparse.ArgumentParser(prog="remora status", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="where it listens (default: %(default)s)")
    given = parser.parse_args(arguments)
    url = given.url.rstrip("/")
    try:
        healthy, health = _get(f"{url}/-/healthz")
        _, routes = _get(f"{url}/-/routes")
        found = dict(json.loads(routes))
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        say(f"nothing of Remora's answers at {url} ({reason}): start `remora run`, or give its address with --url")
        return 1
    print(f"{url}: {'ready' if healthy else f'not ready: {health}'}")  # noqa: T201 - the command line talks to its user
    for prefix, application in sorted(found.items()):
        print(f"  {prefix:<20} {application}")  # noqa: T201 - as above
    if not found:
        print("  no application is served over HTTP")  # noqa: T201 - as above
    return 0 if healthy else 1


def _get(url: str) -> tuple[bool, str]:
    """Return whether it was answered with 200, and the body; raise OSError when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
            return response.status == 200, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return False, error.read().decode().strip()
