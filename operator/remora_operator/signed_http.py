"""Signed HTTP to controllers and proxies; see `remora_api.signing`.

One session for all of them; every request has a deadline, so that an address that swallows packets costs nothing but
its own time.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

import aiohttp
from yarl import URL

from remora_api import signing
from remora_operator.errors import Permanent, Transient

CONNECT_S = 3.0


class SignedHttp:
    """Requests signed with a key, and answers believed only when they are signed too."""

    def __init__(self, session: aiohttp.ClientSession, clock: Callable[[], float]) -> None:
        self._session = session
        self._clock = clock

    async def request(
        self, method: str, base_url: str, target: str, key: str, *, body: bytes = b"", timeout_s: float
    ) -> tuple[int, bytes]:
        """Return status and body of a trusted answer below 400.

        Raises Transient when nobody answers, or a stranger, and Permanent when the answer is a refusal.
        """
        nonce = secrets.token_hex(16)
        headers = signing.request_headers(key, method, target, body, now_s=int(self._clock()), nonce=nonce)
        if body:
            headers["Content-Type"] = "application/json"
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_S)
        url = URL(base_url + target, encoded=True)
        what = f"{method} {base_url}{target.partition('?')[0]}"
        try:
            async with self._session.request(
                method, url, data=body or None, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                status, content, given = response.status, await response.read(), response.headers
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Transient(f"{what}: {str(error) or type(error).__name__}") from error
        if status >= 500:
            raise Transient(f"{what}: {status} {_text(content)}")
        if status >= 300:
            raise Permanent(f"{what}: {status} {_text(content)}")
        try:
            signing.check_response(key, nonce, status, content, given)
        except signing.BadSignature as error:
            raise Transient(f"{what}: {error}") from error
        return status, content


def _text(content: bytes) -> str:
    return content[:300].decode(errors="replace").strip()
