"""Stands for `ray.serve.task_consumer`: decorators of consumers, and the adapter by which others enqueue."""

from __future__ import annotations

import importlib
import inspect
import types
from collections.abc import Callable
from typing import Any, TypeVar

from remora.errors import MisuseError, OptionError
from remora.tasks import CONFIG, HANDLES
from remora.tasks.adapter import DEFAULT_CONCURRENCY, TaskProcessorAdapter
from remora.tasks.models import TaskProcessorConfig

__all__ = ["instantiate_adapter_from_config", "task_consumer", "task_handler"]

Handler = TypeVar("Handler", bound=Callable[..., Any])


def task_consumer(*, task_processor_config: TaskProcessorConfig) -> Callable[[type], type]:
    """Let the replicas of a class take tasks from a queue: below `@serve.deployment`, above the class.

    As many tasks run at once in a replica as its `max_ongoing_requests`.
    """

    def decorate(cls: type) -> type:
        if not inspect.isclass(cls):
            raise OptionError(f"@task_consumer takes a class, not {type(cls).__name__}")
        # A class of its own: the same class may consume from several queues.
        about = {name: getattr(cls, name) for name in ("__module__", "__qualname__", "__doc__")}
        about[CONFIG] = task_processor_config
        return types.new_class(cls.__name__, (cls,), exec_body=lambda body: body.update(about))

    return decorate


def task_handler(_func: Any = None, *, name: str | None = None) -> Any:
    """Let a method handle the tasks of a name, its own unless it is given; with or without brackets."""
    given: Any = name
    if given is not None and (not isinstance(given, str) or not given.strip()):
        raise OptionError(f"Task name must be a non-empty string, got {name!r}")

    def decorate(handler: Handler) -> Handler:
        setattr(handler, HANDLES, name or handler.__name__)
        return handler

    return decorate if _func is None else decorate(_func)


def instantiate_adapter_from_config(task_processor_config: TaskProcessorConfig) -> TaskProcessorAdapter:
    """Return an adapter to enqueue tasks by and to ask for their results.

    Raises TypeError for what is no adapter, RuntimeError when its own code raises.
    """
    return adapter_of(task_processor_config, DEFAULT_CONCURRENCY)


def adapter_of(config: TaskProcessorConfig, concurrency: int) -> TaskProcessorAdapter:
    """Return the config's adapter, ready for as many tasks at once."""
    kind = imported(config.adapter) if isinstance(config.adapter, str) else config.adapter
    name = getattr(kind, "__name__", repr(kind))
    try:
        adapter = kind(config)
    except Exception as error:
        raise MisuseError(f"Failed to instantiate {name}: {error}") from error
    if not isinstance(adapter, TaskProcessorAdapter):
        raise OptionError(f"{name} must inherit from TaskProcessorAdapter, got {type(adapter).__name__}")
    try:
        adapter.initialize(concurrency)
    except Exception as error:
        raise MisuseError(f"Failed to initialize {name}: {error}") from error
    return adapter


def imported(path: str) -> Callable[..., Any]:
    """Return the class at `module.Class` or `module:Class`; raise OptionError, ImportError or AttributeError."""
    from remora.compat.alias import LATER

    module, _, attribute = path.partition(":") if ":" in path else path.rpartition(".")
    if not module or not attribute:
        raise OptionError(f"adapter {path!r} must be the import path of a class: module.Class")
    found: Any = importlib.import_module(LATER.get(module, module))
    for part in attribute.split("."):
        found = getattr(found, part)
    kind: Callable[..., Any] = found
    return kind
