"""gRPC server reflection: which services there are and what their messages look like, for clients without their code.

A replica answers, as it has imported the user's generated modules; proxies import no user code. The protocol is that of
grpc/grpc, doc/server-reflection.md; what it says of a request is grpcio-reflection's.
"""

from __future__ import annotations

from contextlib import aclosing

from remora.grpc_services import REFLECTION
from remora.replica import servicers
from remora.types import RpcCall


async def answer(call: RpcCall) -> None:
    """Answer each of the client's questions; raises ServicerError when a servicer function cannot be imported."""
    # Only who is asked has it: it brings protobuf.
    from grpc_reflection.v1alpha.reflection import ReflectionServicer
    from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest

    known = ReflectionServicer((*servicers.services(call.servicers), REFLECTION))
    async with aclosing(call.messages()) as messages:
        async for message in messages:
            request = ServerReflectionRequest.FromString(message)
            for said in known.ServerReflectionInfo(iter((request,)), None):
                await call.send(said.SerializeToString())
