"""The import alias: `from ray import serve`, and `ray.serve.…`, are Remora.

Installed by the processes that import user code (builds, replicas, `remora run`, `remora exec`) before they do so.
Nothing of Ray Serve is imported; a module of Ray Serve that Remora has no counterpart for is a ModuleNotFoundError
that says so.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Final

from remora.compat import missing, ray_get

ROOT: Final = "ray.serve"
SERVE: Final = "remora.serve"
"""What stands for it. Here and below names only: who asks for them is the user's program."""

MODULES: Final[Mapping[str, str]] = {
    "ray.serve.api": SERVE,
    "ray.serve.batching": "remora.batching",
    "ray.serve.config": "remora.compat.config",
    "ray.serve.context": "remora.replica.context",
    "ray.serve.dag": "remora.compat.dag",
    "ray.serve.deployment": "remora.compat.deployment",
    "ray.serve.deployment_graph": "remora.compat.dag",
    "ray.serve.drivers": "remora.drivers",
    "ray.serve.exceptions": "remora.compat.exceptions",
    "ray.serve.gang": "remora.replica.gang",
    "ray.serve.grpc_util": "remora.grpc_util",
    "ray.serve.handle": "remora.compat.handle",
    "ray.serve.metrics": "remora.metrics",
    "ray.serve.schema": "remora.compat.schema",
    "ray.serve.utils": "remora.compat.utils",
}
"""Modules of Ray Serve that user code imports from, and what stands for them."""

LATER: Final[Mapping[str, str]] = {
    "ray.serve.experimental": "remora.compat.experimental",
    "ray.serve.experimental.consistent_hash_router": "remora.routing.consistent_hash",
    "ray.serve.experimental.round_robin_router": "remora.routing.round_robin",
    "ray.serve.async_inference_autoscaling_policy": "remora.tasks.policy",
    "ray.serve.autoscaling_policy": "remora.compat.autoscaling_policy",
    "ray.serve.generated": "remora.compat.generated",
    "ray.serve.generated.serve_pb2": "remora.compat.generated.serve_pb2",
    "ray.serve.generated.serve_pb2_grpc": "remora.compat.generated.serve_pb2_grpc",
    "ray.serve.gradio_integrations": "remora.compat.gradio_integrations",
    "ray.serve.http_adapters": "remora.drivers.http_adapters",
    "ray.serve.request_router": "remora.compat.request_router",
    "ray.serve.task_consumer": "remora.tasks.consumer",
    "ray.serve.task_processor": "remora.tasks.celery",
    "ray.serve.taskiq_task_processor": "remora.tasks.taskiq",
}
"""Those that are heavy, and imported when they are asked for."""


def install() -> None:
    """Make `ray.serve` Remora in this process from now on. Harmless when it is already."""
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    if ROOT in sys.modules and sys.modules[ROOT].__name__ != SERVE:
        raise ImportError("ray.serve was imported before Remora's alias was installed: install it first")
    sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds `ray.serve` and everything below it, before Ray's own files are looked at."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == ROOT:
            return ModuleSpec(fullname, _Alias(), is_package=True)
        if fullname in LATER:
            return ModuleSpec(fullname, _Later())
        if fullname.startswith(ROOT + "."):
            raise ModuleNotFoundError(
                f"Remora has nothing for {fullname} yet: docs/reference/compatibility.md says why", name=fullname
            )
        return None


class _Alias(Loader):
    """Puts Remora's modules in the place of Ray Serve's."""

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        serve = importlib.import_module(SERVE)
        # With a path, `import ray.serve.unknown` reaches the finder and its message.
        serve.__dict__.setdefault("__path__", [])
        # All at once: importing one later would set `serve.deployment`, the decorator, to a module.
        missing.explain(ROOT, serve)
        for name, counterpart in MODULES.items():
            sys.modules[name] = importlib.import_module(counterpart)
            if sys.modules[name] is not serve:
                missing.explain(name, sys.modules[name])
            serve.__dict__.setdefault(name.rpartition(".")[2], sys.modules[name])
        # Programs write `import starlette`, then `starlette.requests.Request`: Ray Serve has imported that by then.
        importlib.import_module("starlette.requests")
        # Ray is imported by now: it is the package in which this module is looked for.
        ray_get.install(sys.modules["ray"])
        # The import system returns what stands under the name after this.
        sys.modules[ROOT] = serve


class _Later(Loader):
    """Puts one of Remora's modules in the place of one of Ray Serve's."""

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        found = sys.modules[module.__name__] = importlib.import_module(LATER[module.__name__])
        missing.explain(module.__name__, found)
