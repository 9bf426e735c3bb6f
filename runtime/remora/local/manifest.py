"""What `remora run` is given, as applications: a file of manifests, a Serve config, or an import path with arguments.

Pure but for reading files. The same manifest serves in a cluster; what it refers to must stand in the same file, and
the code of its ConfigMap may be a module beside it, as where `kubectl create configmap` or a kustomization makes one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from remora.errors import OptionError
from remora.local.subject import CannotRead, LocalApplication, Subject
from remora.local.tls import LocalTls
from remora.tracing.settings import TracingSettings
from remora_api import wire
from remora_api.digests import digest
from remora_api.target import code_bundle, revision_inputs, target_from
from remora_api.v1alpha1 import Grpc, InvalidManifest, ServeApplication, Tracing

if TYPE_CHECKING:
    from remora.serve_config.file import DeployConfig


def read(subject: str, *, route_prefix: str | None = None, args: Mapping[str, Any] | None = None) -> Subject:
    """Return what is in a file (its name ends in .yaml, .yml or .json), or behind an import path; raise CannotRead."""
    if not subject.endswith((".yaml", ".yml", ".json")):
        if ":" not in subject:
            raise CannotRead(f"{subject!r} is neither a file (app.yaml) nor an import path (module:app)")
        return _manifests(subject, [_manifest(subject)], None, route_prefix, args)
    # Imported where it is needed: an import path starts the sooner.
    from remora.serve_config import file

    path = Path(subject)
    documents = documents_in(path)
    if len(documents) == 1 and file.is_config(documents[0]):
        return _config(path, documents[0], route_prefix, args)
    return _manifests(subject, documents, path.resolve().parent, route_prefix, args)


def documents_in(path: Path) -> list[dict[str, Any]]:
    """Return the YAML documents of a file; raise CannotRead with line and column."""
    try:
        found = list(yaml.safe_load_all(path.read_text()))
    except (OSError, UnicodeDecodeError) as error:
        raise CannotRead(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise CannotRead(f"{path}{where}: is no YAML: {said}") from error
    except yaml.YAMLError as error:
        raise CannotRead(f"{path}: is no YAML: {error}") from error
    return [document for document in found if isinstance(document, dict)]


def _manifests(
    subject: str,
    documents: Sequence[Mapping[str, Any]],
    folder: Path | None,
    route_prefix: str | None,
    args: Mapping[str, Any] | None,
) -> Subject:
    config_maps = {_name(d): d.get("data") or {} for d in documents if d.get("kind") == "ConfigMap"}
    manifests = [d for d in documents if d.get("kind", "ServeApplication" if "spec" in d else "") == "ServeApplication"]
    if not manifests:
        raise CannotRead(f"{subject} holds no ServeApplication, and is no Serve config (applications: …)")
    applications: list[LocalApplication] = []
    warnings: list[str] = []
    read_all = [resource(_overlaid(manifest, route_prefix, args)) for manifest in manifests]
    for read_one in read_all:
        beside = _module_beside(read_one, config_maps, folder)
        applications.append(_application(read_one, config_maps, beside))
        warnings += _warnings(read_one)
        if beside is not None:
            warnings.append(f"spec.code.configMap is not in {subject}: {beside.name} beside it is used")
    # One proxy serves all of them.
    tracing = next((_tracing(it.spec.tracing) for it in read_all if it.spec.tracing is not None), None)
    return Subject(tuple(applications), tuple(warnings), tracing=tracing)


def _config(
    path: Path, document: Mapping[str, Any], route_prefix: str | None, args: Mapping[str, Any] | None
) -> Subject:
    from remora.serve_config import targets

    config = config_in(path, document)
    if (route_prefix is not None or args) and len(config.applications) > 1:
        raise CannotRead(f"{path} holds several applications: say routes and arguments in the file")
    rpc = config.grpc_options
    grpc = Grpc(port=rpc.port, servicer_functions=rpc.grpc_servicer_functions) if rpc.grpc_servicer_functions else None
    applications = []
    for application in config.applications:
        if args:
            application = application.model_copy(update={"args": {**application.args, **args}})
        target = targets.target(application, config.target_capacity).but(
            env=targets.environment(application),
            working_dir=str(working_dir(application.runtime_env.working_dir, path) or ""),
        )
        prefix = application.route_prefix if route_prefix is None else route_prefix
        timeout_s, around = config.http_options.request_timeout_s, targets.runtime_env(application)
        logs = targets.logging_config(config, application)
        applications.append(LocalApplication(target, prefix, timeout_s, grpc, around, logs))
    http = config.http_options
    try:
        tls = LocalTls.of(http.tls)
    except OptionError as error:
        raise CannotRead(f"{path}: {error}") from error
    notes = tuple(targets.notes(config))
    return Subject(
        tuple(applications),
        notes,
        http.host,
        http.port,
        http.root_path,
        http.keep_alive_timeout_s,
        rpc.enable_reflection,
        tls,
        config.tracing_config.settings if config.tracing_config is not None else None,
    )


def config_in(path: Path, document: Mapping[str, Any]) -> DeployConfig:
    """Return the Serve config that a file's document is; raise CannotRead."""
    from remora.serve_config import autoscaling, file

    try:
        config = file.read(document)
    except file.InvalidConfig as error:
        raise CannotRead("\n".join(f"{path}: {line}" for line in str(error).splitlines())) from error
    for i, application in enumerate(config.applications):
        for j, deployment in enumerate(application.deployments):
            try:
                autoscaling.fields(deployment)
            except OptionError as error:
                raise CannotRead(f"{path}: applications[{i}].deployments[{j}]: {error}") from error
    return config


def working_dir(given: str | None, path: Path) -> Path | None:
    """Return the folder of this machine that a config's `working_dir` names, relative to the file; raise CannotRead."""
    from remora.serve_config import targets

    if not given or targets.is_fetched(given):
        return None
    _, separator, rest = given.partition("://")
    folder = (path.parent / (rest if separator else given)).resolve()
    if not folder.is_dir():
        raise CannotRead(f"{path}: runtime_env.working_dir {given!r}: {folder} is no folder")
    return folder


def _manifest(import_path: str) -> dict[str, Any]:
    from remora.serve_config.names import object_name

    name = object_name(import_path.partition(":")[0].rpartition(".")[2])
    return {"metadata": {"name": name}, "spec": {"importPath": import_path}}


def _overlaid(manifest: Mapping[str, Any], route_prefix: str | None, args: Mapping[str, Any] | None) -> dict[str, Any]:
    spec = dict(manifest.get("spec") or {})
    if route_prefix is not None:
        spec["routePrefix"] = route_prefix
    if args:
        spec["args"] = {**(spec.get("args") or {}), **args}
    return {**manifest, "spec": spec}


def resource(manifest: Mapping[str, Any]) -> ServeApplication:
    """Return the manifest as `kubectl apply` would read it; raise CannotRead."""
    try:
        return ServeApplication.from_manifest(manifest, strict=True)
    except InvalidManifest as error:
        raise CannotRead(str(error)) from error


def _application(
    application: ServeApplication, config_maps: Mapping[str, Mapping[str, str]], beside: Path | None
) -> LocalApplication:
    code = None if beside is not None else _code(application, config_maps)
    revision = f"{application.metadata.name}-{digest(revision_inputs(application, code))[:10]}"
    env = {v.name: v.value for v in application.spec.env if v.value is not None}
    folder = str(beside.parent) if beside is not None else ""
    return LocalApplication(
        target_from(application, revision=revision, code=code).but(env=env, working_dir=folder),
        application.spec.route_prefix,
        application.spec.proxy.request_timeout_seconds,
        application.spec.proxy.grpc,
    )


def _tracing(tracing: Tracing) -> TracingSettings:
    return TracingSettings("", tracing.endpoint, tracing.sampling_rate_per_million / 1_000_000)


def _module_beside(
    application: ServeApplication, config_maps: Mapping[str, Mapping[str, str]], folder: Path | None
) -> Path | None:
    """Return the module or package of importPath in ``folder`` where its ConfigMap is not in the file."""
    code = application.spec.code
    if folder is None or code is None or code.config_map is None or code.config_map.name in config_maps:
        return None
    module = (application.spec.import_path or "").partition(":")[0].partition(".")[0]
    places = (folder / f"{module}.py", folder / module / "__init__.py")
    if not module or not any(place.is_file() for place in places):
        return None
    return places[0] if places[0].is_file() else folder / module


def _code(application: ServeApplication, config_maps: Mapping[str, Mapping[str, str]]) -> wire.CodeBundle | None:
    code = application.spec.code
    if code is None:
        return None
    if code.inline is not None:
        return code_bundle(code.inline)
    assert code.config_map is not None
    name = code.config_map.name
    if name not in config_maps:
        raise CannotRead(
            f"spec.code.configMap names {name!r}, which is not in the file, and there is no module of importPath "
            "beside it: add one of them, or use inline"
        )
    return code_bundle(config_maps[name])


def _warnings(application: ServeApplication) -> Iterator[str]:
    given = {v.name for v in application.spec.env if v.value is not None}
    elsewhere: Iterable[str] = (v.name for v in application.spec.env if v.value is None and v.name not in given)
    for name in elsewhere:
        yield f"spec.env {name}: valueFrom has no meaning here; the value of this shell is used"
    if application.spec.env_from:
        yield "spec.envFrom has no meaning here; variables of this shell are used"


def _name(document: Mapping[str, Any]) -> str:
    return str((document.get("metadata") or {}).get("name", ""))
