"""How many tasks wait in a queue, as its broker says: Redis, and RabbitMQ by its management API."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from remora.errors import RemoraError
from remora.packages import required

TIMEOUT_S: Final = 5.0
PRIORITIES: Final = ("", "\x06\x163", "\x06\x166", "\x06\x169")
"""What Celery appends to a queue's name for each of the four lists that it is in Redis."""
_REDIS: Final = ("redis", "rediss", "redis+socket")
_RABBITMQ: Final = ("amqp", "amqps")


class NoLength(RemoraError):
    """A broker did not say how long a queue is."""


class UnknownBroker(RemoraError, NotImplementedError):
    """Queues of this kind of broker cannot be measured."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue, and where it is. Raises UnknownBroker for URLs of other brokers."""

    broker_url: str
    name: str
    management_url: str | None = None
    """Of RabbitMQ: `http://user:password@host:15672/api/`."""

    def __post_init__(self) -> None:
        if urlsplit(self.broker_url).scheme not in (*_REDIS, *_RABBITMQ):
            raise UnknownBroker(
                f"the length of queue {self.name!r} cannot be asked for at {urlsplit(self.broker_url).scheme}://…: "
                "broker_url must begin with redis://, rediss://, redis+socket://, amqp:// or amqps://"
            )

    async def length(self) -> int:
        """Return how many tasks wait, without those that a consumer has fetched; raise NoLength, MissingPackage."""
        ask = self._of_redis if urlsplit(self.broker_url).scheme in _REDIS else self._of_rabbitmq
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await ask()
        except TimeoutError as error:
            raise NoLength(f"queue {self.name!r}: the broker did not answer within {TIMEOUT_S:g} s") from error

    async def _of_redis(self) -> int:
        redis = required("redis.asyncio", "lengths of queues in Redis", "redis")
        url = self.broker_url.replace("redis+socket://", "unix://", 1)
        try:
            async with redis.from_url(url) as client:
                return sum([await client.llen(self.name + priority) for priority in PRIORITIES])
        except (redis.RedisError, OSError, ValueError) as error:
            raise NoLength(f"queue {self.name!r}: Redis does not answer: {error}") from error

    async def _of_rabbitmq(self) -> int:
        # As in policies: nobody else of a replica needs an HTTP client of this kind.
        import aiohttp

        url, user, password = management(self.broker_url, self.management_url)
        credentials = b64encode(f"{user}:{password}".encode()).decode()
        try:
            async with (
                aiohttp.ClientSession(headers={"Authorization": f"Basic {credentials}"}) as session,
                session.get(url) as answer,
            ):
                if answer.status != 200:
                    raise NoLength(f"queue {self.name!r}: RabbitMQ's management API answered {answer.status}")
                return _messages(await answer.json(), self.name)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NoLength(f"queue {self.name!r}: RabbitMQ's management API does not answer: {error}") from error


def management(broker_url: str, given: str | None) -> tuple[str, str, str]:
    """Return where RabbitMQ lists the queues of the broker's virtual host, with user and password."""
    broker = urlsplit(broker_url)
    base = urlsplit(given or f"http://{broker.hostname or 'localhost'}:15672/api/")
    user = unquote(base.username or broker.username or "guest")
    password = unquote(base.password or broker.password or "guest")
    where = base.hostname or "localhost"
    port = f":{base.port}" if base.port else ""
    vhost = quote(unquote(broker.path[1:]) or "/", safe="")
    return f"{base.scheme}://{where}{port}{base.path.rstrip('/')}/queues/{vhost}", user, password


def _messages(listed: Any, name: str) -> int:
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, dict) and each.get("name") == name:
            return int(each.get("messages") or 0)
    return 0
