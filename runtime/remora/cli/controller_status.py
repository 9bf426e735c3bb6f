"""`remora controller-status`: prints ControllerStatus as JSON; for people with a shell in the head pod."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from remora_api.meta import Path as Paths
from remora_api.meta import Port


def main(arguments: Sequence[str]) -> int:
    """Print the status; the exit code is 1 when no controller answers."""
    parser = argparse.ArgumentParser(prog="remora controller-status", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--url", default=f"http://127.0.0.1:{Port.CONTROLLER}", help="the controller's address")
    parser.add_argument("--key-file", type=Path, default=Path(Paths.KEYS) / "control" / "key", help="the control key")
    given = parser.parse_args(arguments)
    return asyncio.run(_print(given.url, given.key_file.read_text().strip()))


async def _print(url: str, key: str) -> int:
    from remora.http_client import HttpError, SignedClient
    from remora_api.wire import ControllerStatus

    async with SignedClient(url, key) as client:
        try:
            answer = await client.get("/v1/status", {"timeout_s": 1})
        except HttpError as error:
            print(error, file=sys.stderr)  # noqa: T201 - the command line talks to its user
            return 1
    if not answer.body:
        print("the controller is still recovering", file=sys.stderr)  # noqa: T201 - as above
        return 1
    print(json.dumps(ControllerStatus.from_json(answer.body).to_plain(), indent=2))  # noqa: T201 - as above
    return 0
