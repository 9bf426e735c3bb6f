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
from functools import partial, wraps
from pathlib import Path
from typing import Any, Final

from remora.lean_ray import agents, workers

NOT_NEEDED: Final = ("start_api_server", "start_monitor", "start_log_monitor", "start_ray_client_server")
"""Methods of Ray's `Node`, called once each while it starts."""
START_PROCESS: Final = "start_ray_process"
"""Of Ray's services: starts the raylet, among others."""


@contextmanager
def lean(prestarted: int | None = None, template: Path | None = None) -> Iterator[None]:
    """Let Ray start here without them, and no more workers ahead than so many; not for two threads at a time.

    With the socket of a `template`, workers are forked of that.
    """
    try:
        from ray._private import services
        from ray._private.node import Node
    except ImportError:
        yield
        return
    with ExitStack() as replaced:
        for name in NOT_NEEDED:
            replaced.enter_context(_replaced(Node, name, lambda _: _nothing))
        replaced.enter_context(_replaced(services, START_PROCESS, partial(_changed, prestarted, template)))
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


def _changed(prestarted: int | None, template: Path | None, start: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(start)
    def start_changed(command: list[str], *given: Any, **options: Any) -> Any:
        words = agents.with_stand_ins(command, sys.executable)
        if prestarted is not None:
            words = workers.with_prestarted(words, prestarted)
        if template is not None:
            words = workers.with_template(words, template)
        return start(words, *given, **options)

    return start_changed


def _nothing(*_given: Any, **_options: Any) -> None:
    """Start nothing."""
