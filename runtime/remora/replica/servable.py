"""Servable: the user's object as HTTP, gRPC and handles see it who call it: its methods, threads, and context."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from anyio import to_thread

from remora.errors import UnknownMethod
from remora.graph.definition import Definition
from remora.handle import context as request_context
from remora.handle import flow
from remora.handle.context import RequestContext
from remora.replica import context as replica_context
from remora.replica.context import ReplicaContext
from remora.replica.invoke import Method, method_of, methods_of
from remora.routing.config import METHOD


class Servable:
    """One object; made with its replica."""

    def __init__(self, found: Definition, instance: Any, replica: ReplicaContext, max_ongoing_requests: int) -> None:
        self.deployment = found.deployment
        self.application = replica.app_name
        self.following = found.then
        """The stages that come after it (`.then()`)."""
        self._instance = instance
        self._replica = replica
        self._max_ongoing_requests = max_ongoing_requests
        self._methods: dict[str, Method | None] = {METHOD: method_of(lambda: found.router, "__call__")}
        self.pool = _threads(max_ongoing_requests)
        """Where its plain methods run; another one after `resize`."""
        _let_threads(max_ongoing_requests)

    def enter(self, context: RequestContext) -> RequestContext:
        """Make the request the current one; the server runs each in a task of its own."""
        replica_context.enter(self._replica)
        request_context.enter(context)
        return context

    def method(self, name: str) -> Method:
        """Return the method; raise AttributeError naming those that there are."""
        if name not in self._methods:
            self._methods[name] = method_of(self._instance, name)
        found = self._methods[name]
        if found is None:
            known = ", ".join(methods_of(self._instance)) or "none"
            raise UnknownMethod(f"deployment {self.deployment!r} has no method {name!r}; its methods are: {known}")
        return found

    async def through_stages(self, value: Any) -> Any:
        """Return the value that the stages after this one make of it."""
        return await flow.through(self.following, value, self.deployment) if self.following else value

    def resize(self, max_ongoing_requests: int) -> None:
        """Have as many threads as requests may run at once; what runs ends where it is."""
        if max_ongoing_requests == self._max_ongoing_requests:
            return
        self._max_ongoing_requests = max_ongoing_requests
        retired, self.pool = self.pool, _threads(max_ongoing_requests)
        _let_threads(max_ongoing_requests)
        retired.shutdown(wait=False)

    def close(self) -> None:
        """Begin nothing more in threads."""
        self.pool.shutdown(wait=False, cancel_futures=True)


def _threads(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=max(1, count), thread_name_prefix="remora-user")


def _let_threads(count: int) -> None:
    """Let as many plain routes of FastAPI run at once as requests may: it has 40 threads otherwise (anyio)."""
    limiter = to_thread.current_default_thread_limiter()
    limiter.total_tokens = max(limiter.total_tokens, count)
