"""How a request ends that finds the queue full: as `backpressure_config` of its deployment says."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from remora import serve, testing
from remora.errors import BackPressureError

ENTERED, LEAVE = threading.Semaphore(0), threading.Semaphore(0)


@serve.deployment(max_ongoing_requests=1, max_queued_requests=0)
class Narrow:
    def __call__(self) -> str:
        ENTERED.release()
        assert LEAVE.acquire(timeout=20)
        return "through"


@serve.deployment
class Front:
    def __init__(self, narrow: Any) -> None:
        self.narrow = narrow

    async def __call__(self) -> Any:
        return await self.narrow.remote()


@pytest.mark.parametrize(
    ("config", "status", "retry_after"),
    [
        (None, 503, "1"),
        ({"retry_after_s": 2.5}, 503, "3"),
        ({"status_code": 429, "retry_after_s": 7}, 429, "7"),
        ({"status_code": 429}, 429, None),
    ],
)
@pytest.mark.parametrize("behind", [False, True], ids=["ingress", "behind"])
def test_a_full_queue_is_answered_as_the_deployment_says(
    config: Any, status: int, retry_after: str | None, behind: bool
) -> None:
    narrow = Narrow.options(backpressure_config=config).bind()
    with (
        testing.application(Front.bind(narrow) if behind else narrow) as client,
        ThreadPoolExecutor(1) as elsewhere,
    ):
        first = elsewhere.submit(client.get)
        try:
            assert ENTERED.acquire(timeout=20)
            refused = client.get()
        finally:
            LEAVE.release()
        assert (refused.status, refused.headers.get("retry-after")) == (status, retry_after)
        assert first.result(20).text == "through"


def test_the_error_of_a_handle_says_it_too() -> None:
    config = {"status_code": 429, "retry_after_s": 7}
    with testing.application(Narrow.options(backpressure_config=config).bind()) as client:
        first = client.handle().remote()
        try:
            assert ENTERED.acquire(timeout=20)
            with pytest.raises(BackPressureError, match="'Narrow'") as refused:
                client.handle().remote().result(timeout_s=20)
        finally:
            LEAVE.release()
        assert (refused.value.status_code, refused.value.retry_after_s) == (429, 7)
        assert first.result(timeout_s=20) == "through"
