"""The proxy process of `remora run`."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from remora.local.proxy import LocalProxy, ProxyFailed
from remora.local.proxy_process import ProxyProcess


async def test_a_proxy_that_cannot_start_is_said_with_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "data.key").write_text("key")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        begun = await ProxyProcess.begin(tmp_path)
        proxy = await LocalProxy.start(begun, host="127.0.0.1", port=port, data_key_file=tmp_path / "data.key")
        try:
            with pytest.raises(ProxyFailed, match=r"^the proxy ended with exit code 1: .*address already in use"):
                await proxy.route(())
        finally:
            await proxy.stop()
