"""`ray.get` and `ray.wait` with responses of handles, and without."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from remora.compat import ray_get
from remora.errors import RemoraError
from remora.handle import DeploymentHandle, payload, runtime
from remora.types import CallMetadata, Payload, Reservation


class Echo:
    """A types.Caller that returns the first argument, later than `release` if it is text."""

    def __init__(self) -> None:
        self.release = asyncio.Event()

    async def call(self, application: str, deployment: str, metadata: CallMetadata, call: Payload) -> Payload:
        (value,), _ = payload.loads_call(call)
        if isinstance(value, str):
            await self.release.wait()
        return payload.dumps(value)

    def stream(
        self, application: str, deployment: str, metadata: CallMetadata, payload: Payload
    ) -> AsyncGenerator[Payload]:
        raise NotImplementedError

    async def replicas(self, application: str, deployment: str) -> Sequence[str]:
        raise NotImplementedError

    async def reserve(
        self, application: str, deployment: str, metadata: CallMetadata, replica: str = ""
    ) -> Reservation:
        raise NotImplementedError

    def knows(self, application: str, deployment: str) -> bool:
        raise NotImplementedError


@pytest.fixture
def echo() -> Iterator[tuple[DeploymentHandle, Any]]:
    """A handle, and a function that releases the calls with text."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    caller = Echo()
    runtime.set_caller(caller, loop)
    yield DeploymentHandle("Echo"), lambda: loop.call_soon_threadsafe(caller.release.set)
    runtime.set_caller(None)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


class GetTimeoutError(TimeoutError):
    pass


def ray() -> Any:
    """Return what of Ray is needed: its own references are numbers here."""
    found = SimpleNamespace(
        get=lambda refs, timeout=None: [-ref for ref in refs] if isinstance(refs, list) else -refs,
        wait=lambda refs, num_returns=1, timeout=None: (refs[:num_returns], refs[num_returns:]),
        exceptions=SimpleNamespace(GetTimeoutError=GetTimeoutError),
    )
    ray_get.install(found)
    ray_get.install(found)
    return found


def test_get_takes_a_response_or_several_or_rays_own(echo: Any) -> None:
    handle, _ = echo
    assert ray().get(handle.remote(1)) == 1
    assert ray().get([handle.remote(number) for number in range(3)]) == [0, 1, 2]
    assert ray().get([handle.remote(1), 5]) == [1, -5]
    assert ray().get(5) == -5
    assert ray().get([5]) == [-5]


def test_get_gives_up_with_rays_exception(echo: Any) -> None:
    handle, _ = echo
    with pytest.raises(GetTimeoutError, match="no response within"):
        ray().get(handle.remote("waits"), timeout=0.05)


def test_wait_returns_what_is_there_and_what_is_not(echo: Any) -> None:
    handle, release = echo
    late, soon = handle.remote("waits"), handle.remote(1)
    assert ray().wait([late, soon], timeout=10) == ([soon], [late])
    assert ray().wait([late, soon], num_returns=2, timeout=0.05) == ([soon], [late])
    release()
    assert ray().wait([late, soon], num_returns=2) == ([late, soon], [])
    assert ray().wait([5, 6]) == ([5], [6])
    with pytest.raises(RemoraError, match="not both at once"):
        ray().wait([soon, 5])
