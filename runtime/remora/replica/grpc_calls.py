"""gRPC at the replica: one call within its context, to its status. `rpc` runs the user's method."""

from __future__ import annotations

import asyncio
import logging

from remora import headers
from remora.handle.context import RequestContext
from remora.replica.servable import Servable
from remora.tracing import raised
from remora.transport.stream import StreamClosed
from remora.types import RpcCall

log = logging.getLogger("remora.serve")


class GrpcCalls:
    """Of one object."""

    def __init__(self, servable: Servable) -> None:
        self._servable = servable

    async def rpc(self, call: RpcCall) -> None:
        """Answer one gRPC call, to its status; raises only when the client has gone, or on cancellation."""
        # Whoever is called by gRPC has it; nobody else pays for it.
        from remora.grpc_util import RayServegRPCContext
        from remora.replica import rpc

        shown = RayServegRPCContext(metadata=call.metadata, peer=call.peer, request_id=call.request_id)
        context = self._servable.enter(
            RequestContext(
                request_id=call.request_id,
                route=self._servable.application,
                app_name=self._servable.application,
                multiplexed_model_id=shown.multiplexed_model_id() or "",
                session_id=shown.session_id() or "",
                headers=headers.rpc_traces(call.metadata),
            )
        )
        code, details = rpc.OK, ""
        try:
            await rpc.answer(call, shown, self._servable.method, self._servable.pool)
            code, details = rpc.code_of(shown), shown.details()
        except asyncio.CancelledError:
            context.cancel_calls()
            raise
        except StreamClosed:
            context.cancel_calls()
            log.info("deployment %r: the client of request %s left", self._servable.deployment, context.request_id)
            return
        except Exception as error:
            raised.note(error)
            log.exception(
                "deployment %r: %s of request %s failed", self._servable.deployment, call.path, context.request_id
            )
            code, details = rpc.status_of(error, shown)
        call.finish(code, details, shown.trailing_metadata())
