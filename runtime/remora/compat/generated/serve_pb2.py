"""Messages of `ray.serve.RayServeAPIService`: which applications there are, and whether all is well."""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE: Final = "ray.serve"

_FIELDS: Final = {
    "ListApplicationsRequest": {},
    "ListApplicationsResponse": {"application_names": descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED},
    "HealthzRequest": {},
    "HealthzResponse": {"message": descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL},
}
"""By message: its strings, in the order of their numbers."""


def _messages() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="ray_serve_api.proto", package=PACKAGE, syntax="proto3")
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for number, (field, label) in enumerate(fields.items(), 1):
            message.field.add(
                name=field, number=number, label=label, type=descriptor_pb2.FieldDescriptorProto.TYPE_STRING
            )
    # A pool of its own: a program that has Ray Serve's own messages as well must not meet these.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in _FIELDS}


_made = _messages()
ListApplicationsRequest = _made["ListApplicationsRequest"]
ListApplicationsResponse = _made["ListApplicationsResponse"]
HealthzRequest = _made["HealthzRequest"]
HealthzResponse = _made["HealthzResponse"]
