"""The Ray that local mode starts for itself: without the processes of Ray's that serve nobody there.

Of nine processes that `ray.init` starts before it returns or just after, three are Python programs that take half a
second of a core each and more: the dashboard's server (started also where there is to be no dashboard, to report
usage, which is off; `ray.init` waits for it), the autoscaler's (there is one node), and the one that reads workers'
logs for drivers (ours does not ask for them). Ray has no option to leave them out of `ray.init`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

NOT_NEEDED: Final = ("start_api_server", "start_monitor", "start_log_monitor")
"""Methods of Ray's `Node`, called once each while it starts. Not public: a Ray that has none of this name is started
with all that it starts by itself."""


@contextmanager
def lean() -> Iterator[None]:
    """Let `ray.init` start a Ray without them; not for two threads at a time."""
    try:
        from ray._private.node import Node
    except ImportError:
        yield
        return
    kept = {name: vars(Node)[name] for name in NOT_NEEDED if name in vars(Node)}
    for name in kept:
        setattr(Node, name, _nothing)
    try:
        yield
    finally:
        for name, method in kept.items():
            setattr(Node, name, method)


def _nothing(*_given: Any, **_options: Any) -> None:
    """Start nothing."""
