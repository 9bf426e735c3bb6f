"""Responses that are awaited twice, as older programs do, and once, as today's do."""

# ruff: noqa: RET504 - names that are returned at once are what is tested

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request

from remora import serve
from remora.handle import DeploymentResponse
from tests.unit.serving import serving


@serve.deployment
class Echo:
    def __call__(self, value: Any) -> Any:
        return value


class Programs:
    """Ways in which programs await, each with the value as its answer."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle

    async def once(self, value: Any) -> Any:
        return await self.handle.remote(value)

    async def once_by_name(self, value: Any) -> Any:
        found = await self.handle.remote(value)
        return found

    async def once_later(self, value: Any) -> Any:
        response = self.handle.remote(value)
        return await response

    async def twice(self, value: Any) -> Any:
        return await (await self.handle.remote(value))

    async def twice_by_name(self, value: Any) -> Any:
        ref = await self.handle.remote(value)
        return await ref

    async def twice_with_one_name(self, value: Any) -> Any:
        found = await self.handle.remote(value)
        found = await found
        return found

    async def a_response_first(self, value: Any) -> Any:
        found = self.handle.remote(value)
        found = await found
        return found

    async def a_parameter(self, value: Any) -> Any:
        async def inner(found: Any) -> Any:
            found = await found
            return found

        return await inner(self.handle.remote(value))

    async def in_branches(self, value: Any) -> Any:
        if value:
            found = self.handle.remote(value)
            await found
        found = await self.handle.remote(value)
        return found

    async def both_in_one(self, value: Any) -> Any:
        first = await self.handle.remote(value)
        second = await self.handle.remote(value)
        assert not isinstance(second, DeploymentResponse)
        third = await first
        assert third == second
        return third

    async def in_a_closure(self, value: Any) -> Any:
        ref = await self.handle.remote(value)

        async def inner() -> Any:
            return ref

        assert await inner() is ref
        return await ref

    async def passed_on(self, value: Any) -> Any:
        ref = await self.handle.remote(value)
        result = await self.handle.remote(ref)
        if isinstance(ref, DeploymentResponse):
            await ref
        return result


METHODS = [name for name in vars(Programs) if not name.startswith("_")]


@pytest.mark.parametrize("value", ["text", 3, True, None, {"a": [1]}], ids=repr)
async def test_both_kinds_of_program_get_the_value(value: Any) -> None:
    async with serving(serve.deployment(Programs).bind(Echo.bind())) as app:
        for method in METHODS:
            found = await getattr(app.handle(), method).remote(value)
            assert found == value, method
            assert type(found) is type(value), method


async def test_two_models_whose_references_are_added() -> None:
    @serve.deployment
    class Model:
        def __init__(self, weight: float) -> None:
            self.weight = weight

        async def __call__(self, request: Request) -> Any:
            return self.weight * (await request.json())["x"]

    @serve.deployment
    class Both:
        def __init__(self, a: Any, b: Any) -> None:
            self.a, self.b = a, b

        async def __call__(self, request: Request) -> Any:
            ref_a = await self.a.remote(request)
            ref_b = await self.b.remote(request)
            return (await ref_a) + (await ref_b)

    async with serving(Both.bind(Model.bind(2), Model.bind(3))) as app, app.client() as client:
        assert (await client.post("/", json={"x": 10})).text == "50"
