"""Fixtures of several files: a controller on a real Ray, and a proxy beside it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from remora.proxy.server import ProxyServer
from remora.proxy.settings import Settings

if TYPE_CHECKING:
    from tests.fakes.ray_cluster import RayMachine


@pytest.fixture(params=["by TCP", "beside the port"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients of this process reach replicas as from another machine, and then as from the same one."""
    if request.param == "by TCP":
        monkeypatch.setattr("remora.transport.nearby.IS_KNOWN", False)


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[RayMachine]:
    """Ray's head, a worker and a controller, as processes."""
    # Imported here: most of the tests beside this need no Ray.
    from tests.fakes.ray_cluster import RayMachine

    made = RayMachine(tmp_path)
    try:
        made.start()
        yield made
    finally:
        await made.close()


@pytest.fixture
async def proxy(machine: RayMachine) -> AsyncIterator[ProxyServer]:
    """A proxy with the machine's data key, which serves nothing yet."""
    settings = Settings(data_key=machine.keys["data"], host="127.0.0.1", port=0, admin_port=0, access_log=False)
    made = ProxyServer(settings, write=lambda _: None, wall_clock=time.time)
    await made.start()
    yield made
    await made.stop()
