"""What a replica imports before the user's code: when it begins, or ahead, in the process that its own is forked of.

The one list of it: `actor` takes these names from here, and `lean_ray` imports this module for workers to come.
"""

from __future__ import annotations

from remora import memory

with memory.importing():
    from remora.handle import runtime as runtime
    from remora.http_client import SignedClient as SignedClient
    from remora.multiplexing.holdings import HOLDINGS as HOLDINGS
    from remora.replica import code as code
    from remora.replica import context as context
    from remora.replica import control as control
    from remora.replica import facts as facts
    from remora.replica import health as health
    from remora.replica import output as output
    from remora.replica.program import take_part as take_part
    from remora.replica.server import ReplicaServer as ReplicaServer
    from remora.replica.user import Identity as Identity
    from remora.replica.user import UserCallable as UserCallable
    from remora.router.router import Router as Router
    from remora.routing.choosers import chooser as chooser
    from remora.tracing import process as process
    from remora.tracing.settings import TracingSettings as TracingSettings
