"""What generated gRPC code registers, found by the path of a call."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import grpc
import pytest

from remora.replica import servicers


@pytest.fixture
def generated(monkeypatch: pytest.MonkeyPatch) -> str:
    """The import path of a function as protoc writes it, for a service that names a method ``__call__``."""

    def add_OddServicer_to_server(servicer: Any, server: Any) -> None:
        kinds = {
            "__call__": grpc.unary_unary_rpc_method_handler(servicer.__call__),
            "Other": grpc.unary_stream_rpc_method_handler(servicer.Other),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Odd", kinds),))

    module = ModuleType("odd_pb2_grpc")
    monkeypatch.setattr(module, "add_OddServicer_to_server", add_OddServicer_to_server, raising=False)
    monkeypatch.setitem(sys.modules, "odd_pb2_grpc", module)
    return "odd_pb2_grpc.add_OddServicer_to_server"


def test_methods_are_found_whatever_they_are_called(generated: str) -> None:
    assert servicers.find([generated], "/test.Odd/__call__").response_streaming is False
    assert servicers.find([generated], "/test.Odd/Other").response_streaming is True
    assert servicers.find([generated], "/test.Odd/Nothing") is None


def test_a_function_that_is_not_there_is_named() -> None:
    with pytest.raises(servicers.ServicerError, match=r"'nowhere\.add_It' cannot be imported"):
        servicers.find(["nowhere.add_It"], "/a/b")
