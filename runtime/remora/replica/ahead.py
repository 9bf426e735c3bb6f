"""What a replica imports, for Ray to import it in workers that nobody has asked for yet (see `node.commands`).

Importing it again is free, so that a replica need not know whether its process is such a worker.
"""

from __future__ import annotations

from remora import memory

with memory.importing():
    from remora.handle import runtime as runtime
    from remora.http_client import SignedClient as SignedClient
    from remora.replica import actor as actor
    from remora.replica import code as code
    from remora.replica import control as control
    from remora.replica import facts as facts
    from remora.replica import health as health
    from remora.replica import output as output
    from remora.replica.program import take_part as take_part
    from remora.replica.server import ReplicaServer as ReplicaServer
    from remora.replica.user import UserCallable as UserCallable
    from remora.router.router import Router as Router
    from remora.routing.choosers import chooser as chooser
    from remora.tracing import process as process
