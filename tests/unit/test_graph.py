"""The graph: names, dependencies, stages, cycles; what a build writes and what is read back."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from remora import serve
from remora.errors import GraphError, OptionError
from remora.graph import build, definition
from remora.graph.application import Application
from remora.graph.deployment import NoEffectYetWarning
from remora.graph.describe import describe
from remora.graph.result import BuildFailure, BuildResult


@serve.deployment
class A:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs


@serve.deployment
class B:
    def __init__(self, *args: Any) -> None:
        self.args = args


@serve.deployment
def function(value: str) -> str:
    return value


def names(app: Application) -> list[str]:
    return [spec.name for spec in describe(app).deployments]


def test_the_ingress_is_the_application_that_is_run() -> None:
    graph = describe(A.bind(B.bind()))
    assert graph.ingress == "A"
    assert [(spec.name, spec.ingress, spec.dependencies) for spec in graph.deployments] == [
        ("B", False, ()),
        ("A", True, ("B",)),
    ]


def test_one_binding_used_twice_is_one_deployment() -> None:
    shared = B.bind()
    assert names(A.bind(shared, A.bind(shared))) == ["B", "A", "A_1"]


def test_bindings_of_one_deployment_get_suffixes_inner_ones_first_as_in_ray_serve() -> None:
    graph = describe(A.bind(A.bind(B.bind(1), B.bind(2))))
    assert [spec.name for spec in graph.deployments] == ["B", "B_1", "A", "A_1"]
    assert graph.ingress == "A_1"


def test_applications_are_found_in_lists_dicts_and_dataclasses() -> None:
    @dataclass
    class Parts:
        left: Application

    app = A.bind([B.bind()], {"x": {"y": (B.bind(),)}}, parts=Parts(B.bind()))
    assert names(app) == ["B", "B_1", "B_2", "A"]


def test_then_chains_applications_deployments_and_functions() -> None:
    app = A.bind().then(B.bind()).then(function).then(len)
    graph = describe(app)
    assert graph.ingress == "A"
    assert graph.deployments[0].then == ("B", "function", "len")
    assert repr(app) == "<Application A → B → function → len>"


def test_then_leaves_the_application_before_it_as_it_was() -> None:
    first = A.bind()
    second = first.then(B.bind())
    assert first.following == ()
    assert len(second.following) == 1


def test_then_refuses_what_cannot_be_a_stage() -> None:
    with pytest.raises(GraphError, match=r"deployment 'A': then\(\) takes a bound deployment.*given int"):
        A.bind().then(3)


def test_a_cycle_is_refused_with_the_names_on_it() -> None:
    inside: list[Application] = []
    outer = A.bind(B.bind(inside))
    inside.append(outer)
    with pytest.raises(GraphError, match="deployment 'A' binds itself through 'B'; break the cycle"):
        describe(outer)


def test_a_function_takes_no_bind_arguments() -> None:
    with pytest.raises(OptionError, match="'function' is a function and takes no bind arguments"):
        function.bind(1)


def test_warnings_of_all_deployments_are_in_the_description() -> None:
    with pytest.warns(NoEffectYetWarning):
        app = A.options(ray_actor_options={"label_selector": {"a": "b"}}).bind(B.bind())
    (warning,) = describe(app).warnings
    assert warning == "deployment 'A': option ray_actor_options[label_selector] is accepted and has no effect yet"


def test_a_definition_holds_names_in_the_place_of_bound_deployments() -> None:
    app = A.bind([B.bind()], key=B.bind())
    built = build.build(app)
    ingress = next(one for one in built.deployments if one.ingress)
    found = definition.loads(built.definitions[ingress.digest], lambda name: f"handle to {name}")
    assert found.func_or_class is A.func_or_class
    assert (found.args, found.kwargs) == ((["handle to B"],), {"key": "handle to B_1"})


def test_decorated_classes_travel_by_reference_and_local_ones_by_value() -> None:
    @serve.deployment
    class Local:
        def __init__(self, word: str) -> None:
            self.word = word

    (by_name,), (by_value,) = (build.build(app).definitions.values() for app in (A.bind(), Local.bind("x")))
    assert len(by_name) < 250 < len(by_value)
    found = definition.loads(by_value, str)
    assert found.func_or_class(*found.args).word == "x"


def test_a_digest_is_the_same_for_the_same_graph() -> None:
    def digests() -> list[str]:
        return [one.digest for one in build.build(A.bind(B.bind(1), x={"y": [2]})).deployments]

    assert digests() == digests()


def test_an_unpicklable_argument_is_refused_with_the_way_out() -> None:
    with pytest.raises(GraphError, match=r"deployment 'B': its class or bind arguments cannot be pickled: TypeError.*"):
        build.build(A.bind(B.bind(threading.Lock())))


class Box:
    def __init__(self, app: Application) -> None:
        self.app = app


def test_bindings_inside_of_objects_are_found() -> None:
    built = build.build(A.bind(Box(B.bind(Box(B.bind()))), Box(B.bind())))
    found = {one.name: one.dependencies for one in built.deployments}
    assert found == {"B": (), "B_1": ("B",), "B_2": (), "A": ("B_1", "B_2")}
    assert built.ingress == "A"


def test_an_object_that_makes_bindings_when_it_is_pickled_is_given_up() -> None:
    class Endless:
        def __reduce__(self) -> Any:
            return Box, (B.bind(),)

    with pytest.raises(GraphError, match="bound deployment 'B' stands inside an object, and cannot be found there"):
        build.build(A.bind(Endless()))


def test_a_result_survives_the_bytes_and_damage_is_noticed() -> None:
    result = build.build(A.options(user_config={"t": 1}, num_replicas=2).bind(B.bind()))
    data = result.to_bytes()
    assert BuildResult.from_bytes(data) == result
    for damaged in (data[:-1], data[:-1] + b"?", b"", b"junk"):
        with pytest.raises(GraphError):
            BuildResult.from_bytes(damaged)


MODULE = """
from ray import serve
from ray.serve.deployment import Application
import ray.serve.handle, sys
from pydantic import BaseModel

assert not any(name.startswith("ray.serve._private") for name in sys.modules)

@serve.deployment(num_replicas=2, ray_actor_options={"num_cpus": 0.1, "memory": 1000})
class Model:
    def __init__(self, word="x"):
        self.word = word

class Args(BaseModel):
    word: str

def typed(args: Args) -> Application:
    return Model.bind(args.word)

def plain(args):
    return Model.bind(args["word"])

def no_args():
    return Model

def broken():
    raise ValueError("no weights")

app = Model.bind()
number = 3
serve.run(app)
"""


def run_build(tmp_path: Path, import_path: str, args: dict[str, Any] | None = None) -> BuildResult | BuildFailure:
    (tmp_path / "shop.py").write_text(MODULE)
    (tmp_path / "leaves.py").write_text("import sys\nsys.exit(3)\n")
    (tmp_path / "args.json").write_text(json.dumps(args or {}))
    (tmp_path / "wrong.py").write_text("def f(:\n")
    command = [sys.executable, "-m", "remora.graph.build", "--import-path", import_path, "--code-dir", str(tmp_path)]
    command += ["--args-file", str(tmp_path / "args.json"), "--out", str(tmp_path / "out")]
    subprocess.run(command, check=True, cwd="/", capture_output=True)
    return BuildResult.from_bytes((tmp_path / "out").read_bytes())


def test_a_build_reads_options_in_a_process_of_its_own(tmp_path: Path) -> None:
    result = run_build(tmp_path, "shop:app")
    assert isinstance(result, BuildResult), result
    (model,) = result.deployments
    assert (model.name, model.replicas, model.cpu_milli, model.memory_bytes) == ("Model", 2, 100, 1000)
    assert result.ingress == "Model"
    assert b"shop" in result.definitions[model.digest]


@pytest.mark.parametrize("builder", ["typed", "plain"])
def test_a_builder_function_gets_the_args(tmp_path: Path, builder: str) -> None:
    result = run_build(tmp_path, f"shop:{builder}", {"word": "hello from args"})
    assert isinstance(result, BuildResult), result
    assert b"hello from args" in result.definitions[result.deployments[0].digest]


def test_a_builder_may_return_an_unbound_deployment(tmp_path: Path) -> None:
    assert isinstance(run_build(tmp_path, "shop:no_args"), BuildResult)
    assert isinstance(run_build(tmp_path, "shop:Model"), BuildResult)


@pytest.mark.parametrize(
    ("import_path", "args", "message"),
    [
        ("shpo:app", {}, "import path 'shpo:app': ModuleNotFoundError: No module named 'shpo'"),
        ("shop:ap", {}, "import path 'shop:ap': module 'shop' has no attribute 'ap'; it has Model, app"),
        ("shop", {}, "import path 'shop': must be module:attribute, for instance hello:app"),
        ("shop:number", {}, "import path 'shop:number': is int, and must be an Application"),
        ("shop:broken", {}, "import path 'shop:broken': ValueError: no weights"),
        ("shop:app", {"word": "x"}, "import path 'shop:app': args are given, and the attribute is not a builder"),
        ("shop:no_args", {"word": "x"}, "args are given, and the builder function no_args takes none"),
        (
            "shop:typed",
            {},
            "import path 'shop:typed': pydantic_core._pydantic_core.ValidationError: 1 validation error",
        ),
        ("leaves:app", {}, "import path 'leaves:app': SystemExit: 3"),
        ("wrong:app", {}, "import path 'wrong:app': SyntaxError: invalid syntax"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_failed_build_says_where_and_why_in_one_line(
    tmp_path: Path, import_path: str, args: dict[str, Any], message: str
) -> None:
    result = run_build(tmp_path, import_path, args)
    assert isinstance(result, BuildFailure)
    assert message in result.message
    assert "\n" not in result.message


def test_the_traceback_of_a_failed_build_begins_in_the_users_code(tmp_path: Path) -> None:
    result = run_build(tmp_path, "shop:broken")
    assert isinstance(result, BuildFailure)
    assert result.kind == "ValueError"
    assert "remora" not in result.traceback.replace(str(tmp_path), "")
    assert result.traceback.endswith("ValueError: no weights")
