"""The operator's links to controllers, over real sockets, with the controller's own process code at the other end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp

from remora.controller import process
from remora.controller.settings import ControllerSettings
from remora_operator.contacts import Link
from remora_operator.controller_client import ControllerLinks, retry_s
from remora_operator.kinds import Key
from remora_operator.observed import ControllerView
from remora_operator.signed_http import SignedHttp

KEY = Key("default", "hello")


@asynccontextmanager
async def controller_without_ray(state_dir: Path) -> AsyncIterator[str]:
    """A controller whose Ray never answers, as beside a head that lost its tables; yields its URL."""
    settings = ControllerSettings(
        ray_address="", ray_key="", control_key="control", data_key="data", url="", host="127.0.0.1", port=0,
        state_dir=state_dir,
    )  # fmt: skip
    never = asyncio.get_running_loop().create_future()
    with process.listen(settings) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        serving = asyncio.create_task(process.serve(settings, listening, connecting=never))
        try:
            yield url
        finally:
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving


async def test_a_controller_that_never_has_a_status_counts_as_one_that_does_not_answer(tmp_path: Path) -> None:
    woken = asyncio.Event()
    async with controller_without_ray(tmp_path) as url, aiohttp.ClientSession() as session:
        links = ControllerLinks(SignedHttp(session, clock=time.time), lambda key: woken.set(), poll_s=0.3)
        links.follow(KEY, (Link(1, url, "control", None, leaves=True),))
        try:
            assert links.views(KEY)[1] == ControllerView()
            async with asyncio.timeout(10):
                while "waits for Ray" not in links.views(KEY)[1].error:
                    woken.clear()
                    await woken.wait()
            assert not links.views(KEY)[1].is_reachable
            assert not links.views(KEY)[1].is_untried
        finally:
            links.close()


def test_a_controller_that_comes_up_is_asked_often_and_one_that_has_gone_rarely() -> None:
    assert [retry_s(waited) for waited in (0.0, 3.0, 600.0)] == [0.2, 0.6, 10.0]
    asked, waited = 0, 0.0
    while waited < 3600:
        waited += retry_s(waited)
        asked += 1
    assert asked < 400, "an hour's attempts"
