"""What `remora run` reads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from remora.local.manifest import read
from remora.local.subject import CannotRead, plain

APPLICATION = """
apiVersion: remora.dev/v1alpha1
kind: ServeApplication
metadata: {name: hello}
spec:
  importPath: hello:app
  routePrefix: /hello
  code: {configMap: {name: hello-code}}
  env:
  - {name: MODE, value: fast}
  - {name: TOKEN, valueFrom: {secretKeyRef: {name: s, key: k}}}
"""
CONFIG_MAP = """
---
apiVersion: v1
kind: ConfigMap
metadata: {name: hello-code}
data: {hello.py: "app = 1"}
"""


def test_reads_the_manifest_of_the_cluster_with_its_config_map(tmp_path: Path) -> None:
    path = tmp_path / "app.yaml"
    path.write_text(APPLICATION + CONFIG_MAP)
    subject = read(str(path), args={"size": 2})
    (found,) = subject.applications
    assert found.target.code is not None
    assert found.target.code.files == {"hello.py": "app = 1"}
    assert (found.route_prefix, found.target.env, found.target.args) == ("/hello", {"MODE": "fast"}, {"size": 2})
    assert subject.warnings == ("spec.env TOKEN: valueFrom has no meaning here; the value of this shell is used",)


@pytest.mark.parametrize("name", ["hello.py", "hello/__init__.py"])
def test_code_beside_the_manifest_stands_for_a_config_map_that_is_made_from_it(tmp_path: Path, name: str) -> None:
    path, module = tmp_path / "app.yaml", tmp_path / name
    path.write_text(APPLICATION)
    module.parent.mkdir(exist_ok=True)
    module.write_text("app = 1")
    subject = read(str(path))
    (found,) = subject.applications
    assert (found.target.code, found.target.working_dir) == (None, str(tmp_path))
    assert f"{name.partition('/')[0]} beside it is used" in subject.warnings[-1]


def test_a_change_of_the_code_is_a_new_revision(tmp_path: Path) -> None:
    path = tmp_path / "app.yaml"
    revisions = set()
    for text in (CONFIG_MAP, CONFIG_MAP.replace("app = 1", "app = 2")):
        path.write_text(APPLICATION + text)
        revisions.add(read(str(path)).applications[0].target.revision)
    assert len(revisions) == 2


def test_an_import_path_is_an_application_by_itself() -> None:
    (found,) = read("my_pkg.Serving_2:build", route_prefix="/x").applications
    assert (found.target.application, found.target.import_path) == ("serving-2", "my_pkg.Serving_2:build")
    assert found.route_prefix == "/x"
    assert found.target.ingress_replicas is None, "the code says how many replicas there are"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(APPLICATION, "configMap names 'hello-code', which is not in the file", id="no ConfigMap"),
        pytest.param(APPLICATION.replace("importPath", "importPth"), "spec.importPth: unknown field", id="misspelt"),
        pytest.param(CONFIG_MAP, "holds no ServeApplication", id="no application"),
        pytest.param("a: [", "is no YAML", id="no YAML"),
    ],
)
def test_says_where_a_file_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "app.yaml"
    path.write_text(text)
    with pytest.raises(CannotRead, match=message):
        read(str(path))


def test_says_what_can_be_given() -> None:
    with pytest.raises(CannotRead, match="neither a file"):
        read("hello")
    with pytest.raises(CannotRead, match="cannot be read"):
        read("missing.yaml")


@pytest.mark.parametrize("path", ["hello:app", "a.b.c:d", "_x.Y_1:_z", "A:b", "a_b.c__:d", "x" * 60 + ":app"])
def test_an_import_path_alone_is_what_its_manifest_would_be(path: str) -> None:
    assert plain(path) == read(path)


@pytest.mark.parametrize("path", ["a", "a.yaml", ":a", "a:", "a..b:c", "a-b:c", "a:b:c", "x" * 256 + ":a", "a:b.c"])
def test_what_is_no_plain_import_path_is_left_to_the_models(path: str) -> None:
    assert plain(path) is None


def test_an_import_path_alone_needs_no_models_of_the_resource() -> None:
    code = "import remora.cli.run, remora.local.subject as s, sys; s.plain('a:b')"
    code += "; import remora.local.instance, remora.controller.loop; print('remora_api.v1alpha1' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
