"""An application that answers gRPC in the four ways there are, and HTTP."""

import grpc
from google.protobuf.wrappers_pb2 import StringValue
from ray import serve


def add_WordsServicer_to_server(servicer, server):
    """What grpcio-tools generates for a service of four methods."""
    kinds = {
        "Upper": grpc.unary_unary_rpc_method_handler,
        "Split": grpc.unary_stream_rpc_method_handler,
        "Join": grpc.stream_unary_rpc_method_handler,
        "Echo": grpc.stream_stream_rpc_method_handler,
    }
    coded = {
        "request_deserializer": StringValue.FromString,
        "response_serializer": StringValue.SerializeToString,
    }
    handlers = {name: kind(getattr(servicer, name), **coded) for name, kind in kinds.items()}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Words", handlers),))


@serve.deployment
class Words:
    """Changes words."""

    async def Upper(self, word):
        return StringValue(value=word.value.upper())

    async def Split(self, words):
        for word in words.value.split():
            yield StringValue(value=word)

    async def Join(self, words):
        return StringValue(value=" ".join([word.value async for word in words]))

    async def Echo(self, words):
        async for word in words:
            yield word

    def __call__(self):
        return "words"


app = Words.bind()
