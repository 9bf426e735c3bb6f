"""Stand-ins for the two agents that a raylet starts beside itself, and without whose ports it ends. Pure.

The dashboard's agent serves metrics and jobs where Ray was installed with its dashboard; without it, `--minimal`, it
writes that it serves nothing, and sleeps. The agent of runtime environments is asked where a task or an actor has one,
which most Rays of ours never see. Each is a Python program that imports Ray, for half a second to a second of a core at
every start of a node, which waits for both, and for 80 to 106 MB while it lives. A stand-in takes 10 ms and 8 MB; that
of the second becomes the agent once somebody asks.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from remora.lean_ray import stand_in

DASHBOARD: Final = "--dashboard_agent_command="
RUNTIME_ENV: Final = "--runtime_env_agent_command="
"""Options of the raylet; their values are command lines."""
MINIMAL: Final = "--minimal"
SESSION, NODE, ADDRESS, PORT = "--session-dir=", "--node-id=", "--node-ip-address=", "--runtime-env-agent-port="
"""Options of the agents."""
UNUSED_PORTS: Final = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port")
RUNTIME_ENV_PORT: Final = "runtime_env_agent_port"
"""What the files are called, before `_` and the node's id, in which a raylet looks for its agents' ports."""


def with_stand_ins(command: Sequence[str], python: str) -> list[str]:
    """Return a raylet's command line with stand-ins instead of agents; another command as it is."""
    return [_with_stand_in(option, python) for option in command]


def _with_stand_in(option: str, python: str) -> str:
    # -I -S: it needs nothing but the standard library, and should be there at once.
    program = [python, "-I", "-S", str(Path(stand_in.__file__))]
    if option.startswith(DASHBOARD):
        words = shlex.split(option.removeprefix(DASHBOARD))
        if MINIMAL in words and (files := _files(words, UNUSED_PORTS)):
            return DASHBOARD + subprocess.list2cmdline([*program, *files])
    if option.startswith(RUNTIME_ENV):
        words = shlex.split(option.removeprefix(RUNTIME_ENV))
        address, files = _value(words, ADDRESS), _files(words, (RUNTIME_ENV_PORT,))
        port = _value(words, PORT)
        if address and port and files:
            stays = [word for word in words if not word.startswith(PORT)]
            return RUNTIME_ENV + subprocess.list2cmdline(
                [*program, *files, stand_in.AGENT, address, port, *stays, PORT]
            )
    return option


def _files(words: Sequence[str], names: Sequence[str]) -> list[str]:
    session, node = _value(words, SESSION), _value(words, NODE)
    return [str(Path(session) / f"{name}_{node}") for name in names] if session and node else []


def _value(words: Sequence[str], option: str) -> str:
    return next((word.removeprefix(option) for word in words if word.startswith(option)), "")
