"""``python -m tests.load.call HOST:PORT``: calls of every kind by grpcio's client; prints what came of them as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import grpc
from google.protobuf.wrappers_pb2 import StringValue

CALLS = 100
"""Made at once over one connection."""
TIMEOUT_S = 20


async def calls(address: str) -> dict[str, Any]:
    """Return the answers by method, and the status of a method that there is not."""
    coded: dict[str, Any] = {
        "request_serializer": StringValue.SerializeToString,
        "response_deserializer": StringValue.FromString,
    }
    async with grpc.aio.insecure_channel(address) as channel:
        upper = channel.unary_unary("/test.Words/Upper", **coded)
        split = channel.unary_stream("/test.Words/Split", **coded)
        join = channel.stream_unary("/test.Words/Join", **coded)
        echo = channel.stream_stream("/test.Words/Echo", **coded)
        missing = channel.unary_unary("/test.Words/Missing", **coded)
        many = await asyncio.gather(*(upper(StringValue(value=f"w{n}"), timeout=TIMEOUT_S) for n in range(CALLS)))
        back = []
        talk = echo(timeout=TIMEOUT_S)
        for word in ("a", "b"):
            # The answer comes before the next question is asked: nothing on the way waits for the end.
            await talk.write(StringValue(value=word))
            back.append((await talk.read()).value)
        await talk.done_writing()
        try:
            await missing(StringValue(value=""), timeout=TIMEOUT_S)
            refused = "answered"
        except grpc.aio.AioRpcError as error:
            refused = error.code().name
        return {
            "Upper": sorted({answer.value for answer in many}),
            "Split": [answer.value async for answer in split(StringValue(value="a b c"), timeout=TIMEOUT_S)],
            "Join": (await join(iter([StringValue(value=it) for it in "abc"]), timeout=TIMEOUT_S)).value,
            "Echo": [*back, (await talk.code()).name],
            "Missing": refused,
        }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(calls(sys.argv[1]))))
