"""Builds a graph: imports the user's code once, in a process of its own, and writes down what it says.

``python -m remora.graph.build --import-path hello:app --code-dir DIR --args-file ARGS.json --out FILE`` runs on a
worker node. The controller starts it, reads FILE with `result.BuildResult.from_bytes`, and never sees the code.
Exits with 0 also when the user's code fails: FILE says how.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import importlib
import inspect
import json
import logging
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, get_type_hints

from remora import memory, runner, standby
from remora.compat import alias, script
from remora.errors import GraphError
from remora.graph import definition
from remora.graph.application import Application
from remora.graph.deployment import Deployment
from remora.graph.describe import DeploymentSpec, GraphDescription, HiddenBinding, describe
from remora.graph.node import GraphNode
from remora.graph.result import BuildFailure, BuildResult, BuiltDeployment, digest

if TYPE_CHECKING:
    from remora_api.wire_graph import Graph

_TRACEBACK_LINES = 40
_MOST_HIDDEN = 100
"""Bound deployments inside objects of one binding: an object that makes new ones when it is pickled is given up."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Build, and write the result or the failure to the file."""
    parser = argparse.ArgumentParser(prog="remora.graph.build", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--import-path", required=True, help="module:attribute")
    parser.add_argument("--code-dir", type=Path, help="directory that comes first on sys.path")
    parser.add_argument("--args-file", type=Path, help="JSON object with the builder's arguments")
    parser.add_argument("--graph-file", type=Path, help="JSON of the graph that combines a module's deployments")
    parser.add_argument(
        "--logging-config", type=json.loads, help="JSON object for deployments that have none of their own"
    )
    parser.add_argument("--out", type=Path, required=True, help="file to write the result to")
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words == [standby.WORD]:
        # Most code of users says `from ray import serve`, which imports Ray itself.
        with contextlib.suppress(ImportError), memory.importing():
            importlib.import_module("ray")
        told = standby.wait()
        if told is None:
            return
        words = told
    given = parser.parse_args(words)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    if given.code_dir is not None:
        sys.path.insert(0, str(given.code_dir.resolve()))
    alias.install()
    script.install()
    runner.set_runner(runner.Importing())
    args = json.loads(given.args_file.read_text()) if given.args_file else {}
    written = attempt(given.import_path, args, _graph(given.graph_file), given.logging_config).to_bytes()
    partial = given.out.with_name(given.out.name + ".partial")
    partial.write_bytes(written)
    partial.replace(given.out)


def _graph(written: Path | None) -> Graph | None:
    if written is None:
        return None
    # Most applications have none, and its models take a third of this process's start.
    from remora_api.wire_graph import Graph

    return Graph.from_json(written.read_bytes())


def attempt(
    import_path: str,
    args: Mapping[str, Any],
    graph: Graph | None = None,
    logging_config: Mapping[str, Any] | None = None,
) -> BuildResult | BuildFailure:
    """Build, and return a failure instead of raising it. What user code raises is not Remora's to judge."""
    try:
        application = resolve(import_path, args) if graph is None else combined(import_path, args, graph)
        return build(application, logging_config)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's code may raise anything, SystemExit included
        return failure(import_path, error)


def build(application: Application, logging_config: Mapping[str, Any] | None = None) -> BuildResult:
    """Return options and definitions of the application; raise GraphError when there is no graph in it."""
    graph, written = _written(application, logging_config)
    return BuildResult(
        ingress=graph.ingress,
        deployments=tuple(_built(spec, digest(written[spec.name])) for spec in graph.deployments),
        definitions={digest(data): data for data in written.values()},
        warnings=graph.warnings,
    )


def _written(
    application: Application, logging_config: Mapping[str, Any] | None
) -> tuple[GraphDescription, dict[str, bytes]]:
    """Return the graph, and its definitions by name."""
    hidden: dict[int, list[Application]] = {}
    while True:
        graph, written = describe(application, hidden), {}
        try:
            for spec in graph.deployments:
                written[spec.name] = definition.dumps(spec, graph, logging_config)
            return graph, written
        except HiddenBinding as found:
            # Only pickling looks into objects: it is described anew, with what that came upon.
            holds = hidden.setdefault(id(spec.application), [])
            if len(holds) == _MOST_HIDDEN:
                raise
            holds.append(found.application)


def resolve(import_path: str, args: Mapping[str, Any]) -> Application:
    """Import the module and return the application that the attribute is, or that it builds."""
    return as_application(load(import_path), args)


def combined(module: str, args: Mapping[str, Any], graph: Graph) -> Application:
    """Return the application that the graph makes of the module's deployments."""
    from remora.graph.assemble import assemble

    if args:
        raise GraphError("args are given, and a graph takes none: give them to its deployments, in graph.deployments")
    return assemble(module, graph, load)


def load(import_path: str) -> Any:
    """Import the module and return the attribute."""
    module_name, separator, attribute = import_path.partition(":")
    if not (module_name and separator and attribute):
        raise GraphError("must be module:attribute, for instance hello:app for the variable app in hello.py")
    found: Any = importlib.import_module(module_name)
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise GraphError(
                f"module {module_name!r} has no attribute {attribute!r}; {_applications_in(found)}{_ended(module_name)}"
            )
        found = getattr(found, part)
    return found


def as_application(found: Any, args: Mapping[str, Any]) -> Application:
    """Return what an import path led to as an Application; a builder function is called with the arguments."""
    if isinstance(found, Application | Deployment) and args:
        raise GraphError("args are given, and the attribute is not a builder function that could take them")
    if isinstance(found, Deployment):
        return found.bind()
    if isinstance(found, Application):
        return found
    if isinstance(found, GraphNode):
        raise GraphError("is a node of a graph: bind it to an ingress, for instance DAGDriver.bind(node)")
    if not inspect.isroutine(found):
        raise GraphError(
            f"is {type(found).__name__}, and must be an Application (Deployment.bind(…)), a Deployment, "
            "or a function that returns one"
        )
    built = _call_builder(found, args)
    if not isinstance(built, Application | Deployment | GraphNode):
        raise GraphError(f"the builder function returned {type(built).__name__}, and must return an Application")
    return as_application(built, {})


def failure(import_path: str, error: BaseException) -> BuildFailure:
    """Say in one sentence what went wrong where, and keep the traceback's tail."""
    kind = type(error).__name__
    text = traceback.format_exception(type(error), error, _users(error))
    lines = "".join(text).rstrip().splitlines()
    last_line = " ".join("".join(traceback.format_exception_only(error)[-1:]).split())[:500]
    reason = str(error) if isinstance(error, GraphError) else last_line
    return BuildFailure(kind, f"import path {import_path!r}: {reason}", "\n".join(lines[-_TRACEBACK_LINES:]))


def _users(error: BaseException) -> Any:
    """Return the traceback without Remora's and importlib's frames before the user's own."""
    trace = error.__traceback__
    while trace is not None and _is_ours(trace.tb_frame.f_globals.get("__name__", "")):
        trace = trace.tb_next
    return trace


def _is_ours(module: str) -> bool:
    return module in ("importlib", "__main__") or module.startswith(("importlib.", "remora."))


def _applications_in(module: Any) -> str:
    names = [name for name, value in vars(module).items() if isinstance(value, Application | Deployment)]
    return f"it has {', '.join(sorted(names))}" if names else "it has no application"


def _ended(module: str) -> str:
    """Say of a module that goes on after serve.run, and failed there, where it ended."""
    importing = runner.importing()
    ended = importing.ended.get(module) if importing else None
    return f"; it ended after its serve.run with {ended}" if ended else ""


def _call_builder(builder: Any, args: Mapping[str, Any]) -> Any:
    """Call `builder()`, or `builder(args)`: a dict, or the pydantic model that the parameter is annotated with."""
    parameters = list(inspect.signature(builder).parameters.values())
    if not parameters:
        if args:
            raise GraphError(f"args are given, and the builder function {builder.__name__} takes none")
        return builder()
    if len(parameters) > 1:
        raise GraphError(f"the builder function {builder.__name__} must take one argument: a dict or a pydantic model")
    hint = get_type_hints(builder).get(parameters[0].name)
    model = hint if inspect.isclass(hint) and hasattr(hint, "model_validate") else None
    return builder(model.model_validate(dict(args)) if model else dict(args))


def _built(spec: DeploymentSpec, name: str) -> BuiltDeployment:
    options = spec.options
    actor = options.ray_actor_options
    return BuiltDeployment(
        name=spec.name,
        digest=name,
        ingress=spec.ingress,
        dependencies=spec.dependencies,
        then=spec.then,
        replicas=options.replicas,
        autoscaling=options.autoscaling,
        max_ongoing_requests=options.max_ongoing_requests,
        max_queued_requests=options.max_queued_requests,
        user_config=options.user_config,
        has_user_config=options.has_user_config,
        cpu_milli=actor.cpu_milli,
        memory_bytes=actor.memory,
        custom=actor.custom,
        env=actor.env,
        runtime_env=actor.runtime_env,
        max_replicas_per_node=options.max_replicas_per_node,
        group=options.group,
        gang=options.gang,
        actors=tuple(actor.name for actor in options.deployment_actors),
        rolling_update_percentage=options.rolling_update_percentage,
        max_surge_percent=options.max_surge_percent,
        max_constructor_retry_count=options.max_constructor_retry_count,
        graceful_shutdown_wait_loop_s=options.graceful_shutdown_wait_loop_s,
        graceful_shutdown_timeout_s=options.graceful_shutdown_timeout_s,
        health_check_period_s=options.health_check_period_s,
        health_check_timeout_s=options.health_check_timeout_s,
    )


def _end() -> NoReturn:
    """End this process once what the user's code asked for is done: who waits for the result waits for its end, too.

    To clear away all modules would take half as long as to import Ray did, and a thread of the code's goes on for ever.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
    _end()
