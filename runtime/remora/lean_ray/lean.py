"""Leaves out of a Ray that starts what nobody asks.

Of what `ray.init` and `ray start --head` start, four are Python programs that take half a second of a core each and
more, and 90 to 110 MB: the dashboard's server (started also where there is to be no dashboard, to report usage, which
is off; both wait for it), the autoscaler's (the operator decides on pods; in local mode there is one node), the one
that reads workers' logs for drivers (ours does not ask for them), and the server of Ray's client, which would be one
more port that runs code. Ray has options for some of them at some of its starts, and none for all. Nothing patched here
is public: what a Ray has not by these names, it starts as it does by itself.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, Final

from remora.lean_ray import agents

NOT_NEEDED: Final = ("start_api_server", "start_monitor", "start_log_monitor", "start_ray_client_server")
"""Methods of Ray's `Node`, called once each while it starts."""
START_PROCESS: Final = "start_ray_process"
"""Of Ray's services: starts the raylet, among others."""


@contextmanager
def lean() -> Iterator[None]:
    """Let Ray start here without them; not for two threads at a time."""
    try:
        from ray._private import services
        from ray._private.node import Node
    except ImportError:
        yield
        return
    with ExitStack() as replaced:
        for name in NOT_NEEDED:
            replaced.enter_context(_replaced(Node, name, lambda _: _nothing))
        replaced.enter_context(_replaced(services, START_PROCESS, _with_stand_ins))
        yield


@contextmanager
def _replaced(owner: object, name: str, by: Callable[[Any], Any]) -> Iterator[None]:
    """Replace what ``owner`` has by that name by what ``by`` makes of it; nothing happens if it has none."""
    kept = vars(owner).get(name)
    if kept is None:
        yield
        return
    setattr(owner, name, by(kept))
    try:
        yield
    finally:
        setattr(owner, name, kept)


def _with_stand_ins(start: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(start)
    def start_with_stand_ins(command: list[str], *given: Any, **options: Any) -> Any:
        return start(agents.with_stand_ins(command, sys.executable), *given, **options)

    return start_with_stand_ins


def _nothing(*_given: Any, **_options: Any) -> None:
    """Start nothing."""
