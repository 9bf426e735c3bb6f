"""`ray.get(handle.remote())`: in an older Ray Serve a call gave a reference of Ray's, and Ray waited for it.

Calls do not go through Ray, so there is no object of Ray's that a response could be. Where the alias for `ray.serve` is
used, `ray.get` and `ray.wait` therefore know responses, too; everything else they pass on as it is.
"""

from __future__ import annotations

import concurrent.futures
import functools
import time
from typing import Any, Final

from remora.errors import RemoraError
from remora.handle import DeploymentResponse

_MARK: Final = "__remora__"


def install(ray: Any) -> None:
    """Let this module's `get` and `wait` take responses. Harmless when they do already."""
    if not hasattr(ray.get, _MARK):
        ray.get = _getting(ray, ray.get)
        ray.wait = _waiting(ray.wait)


def _getting(ray: Any, plain: Any) -> Any:
    @functools.wraps(plain)
    def get(object_refs: Any, *args: Any, timeout: float | None = None, **options: Any) -> Any:
        if not _has_response(object_refs):
            return plain(object_refs, *args, timeout=timeout, **options)
        deadline = None if timeout is None else time.monotonic() + timeout

        def value(ref: Any) -> Any:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not isinstance(ref, DeploymentResponse):
                return plain(ref, timeout=left)
            try:
                return ref.result(left)
            except TimeoutError as error:
                raise ray.exceptions.GetTimeoutError(str(error)) from error

        return [value(ref) for ref in object_refs] if isinstance(object_refs, list | tuple) else value(object_refs)

    setattr(get, _MARK, True)
    return get


def _waiting(plain: Any) -> Any:
    @functools.wraps(plain)
    def wait(ray_waitables: Any, *, num_returns: int = 1, timeout: float | None = None, **options: Any) -> Any:
        if not _has_response(ray_waitables):
            return plain(ray_waitables, num_returns=num_returns, timeout=timeout, **options)
        if not all(isinstance(one, DeploymentResponse) for one in ray_waitables):
            raise RemoraError("ray.wait takes either responses of handles or references of Ray, not both at once")
        futures = {one: one._threadsafe() for one in ray_waitables}
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            done = [one for one in ray_waitables if futures[one].done()][:num_returns]
            left = None if deadline is None else deadline - time.monotonic()
            if len(done) >= min(num_returns, len(futures)) or (left is not None and left <= 0):
                return done, [one for one in ray_waitables if one not in done]
            pending = [future for future in futures.values() if not future.done()]
            concurrent.futures.wait(pending, left, concurrent.futures.FIRST_COMPLETED)

    return wait


def _has_response(given: Any) -> bool:
    if isinstance(given, list | tuple):
        return any(isinstance(one, DeploymentResponse) for one in given)
    return isinstance(given, DeploymentResponse)
