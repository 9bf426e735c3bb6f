"""What protoc's plugin would write for this service, by hand: its messages are protobuf's own.

service Greeter {
  rpc Hello (StringValue) returns (StringValue);
  rpc Count (Int32Value) returns (stream Int32Value);
  rpc Sum (stream Int32Value) returns (Int32Value);
  rpc Echo (stream StringValue) returns (stream StringValue);
  rpc Fail (StringValue) returns (StringValue);
  rpc Meta (StringValue) returns (StringValue);
  rpc Slow (Int32Value) returns (StringValue);
}
"""

import grpc
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

METHODS = {
    "Hello": ("unary_unary", StringValue, StringValue),
    "Count": ("unary_stream", Int32Value, Int32Value),
    "Sum": ("stream_unary", Int32Value, Int32Value),
    "Echo": ("stream_stream", StringValue, StringValue),
    "Fail": ("unary_unary", StringValue, StringValue),
    "Meta": ("unary_unary", StringValue, StringValue),
    "Slow": ("unary_unary", Int32Value, StringValue),
}


class GreeterServicer:
    """Base of the service."""

    def Hello(self, request, context):
        raise NotImplementedError

    Count = Sum = Echo = Fail = Meta = Slow = Hello


class GreeterStub:
    """A client."""

    def __init__(self, channel):
        for name, (kind, request, answer) in METHODS.items():
            path = f"/compat.Greeter/{name}"
            make = getattr(channel, kind)
            made = make(path, request_serializer=request.SerializeToString, response_deserializer=answer.FromString)
            setattr(self, name, made)


def add_GreeterServicer_to_server(servicer, server):
    """Register the service."""
    handlers = {
        name: getattr(grpc, f"{kind}_rpc_method_handler")(
            getattr(servicer, name),
            request_deserializer=request.FromString,
            response_serializer=answer.SerializeToString,
        )
        for name, (kind, request, answer) in METHODS.items()
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("compat.Greeter", handlers),))
