"""What a deployment's runtime_env sets up for its replicas: variables, modules, a folder to work in."""

import importlib
import os
import zipfile

import pytest
from ray import serve


@serve.deployment(ray_actor_options={"num_cpus": 0.1})
class Importer:
    def __init__(self, name):
        self.module = importlib.import_module(name)

    def __call__(self, request=None):
        return self.module.WORD


@serve.deployment
class Where:
    def __call__(self, request=None):
        return os.environ.get("FLAVOUR"), sorted(os.listdir("."))


def packed(folder, name):
    """A zip with one folder in it, in which lies a package."""
    path = folder / f"{name}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"top/{name}/__init__.py", f"WORD = 'from {name}'\n")
        archive.writestr("top/notes.txt", "read me\n")
    return path


def importing(name, **runtime_env):
    options = {"num_cpus": 0.1, "runtime_env": runtime_env}
    return Importer.options(ray_actor_options=options).bind(name)


def test_modules_of_a_zip(run, tmp_path):
    handle = run(importing("zipped_words", py_modules=[f"file://{packed(tmp_path, 'zipped_words')}"]))
    assert handle.remote().result(timeout_s=30) == "from zipped_words"


def test_modules_of_a_folder_that_all_machines_have(run, tmp_path):
    (tmp_path / "local_words.py").write_text("WORD = 'from a folder'\n")
    handle = run(importing("local_words", py_modules=[f"local://{tmp_path}"]))
    assert handle.remote().result(timeout_s=30) == "from a folder"


def test_a_folder_to_work_in_with_variables(run, tmp_path):
    where = f"file://{packed(tmp_path, 'worked_words')}"
    runtime_env = {"working_dir": where, "env_vars": {"FLAVOUR": "mint"}}
    handle = run(Where.options(ray_actor_options={"num_cpus": 0.1, "runtime_env": runtime_env}).bind())
    assert handle.remote().result(timeout_s=30) == ("mint", ["notes.txt", "worked_words"])


def test_other_deployments_do_not_have_its_modules(run, tmp_path):
    run(importing("own_words", py_modules=[f"file://{packed(tmp_path, 'own_words')}"]))
    with pytest.raises(RuntimeError):
        run(Importer.bind("own_words"), name="other", route_prefix="/other")


def test_a_path_in_the_place_of_a_uri_is_refused(run, tmp_path):
    (tmp_path / "plain_words").mkdir()
    with pytest.raises(RuntimeError):
        run(importing("plain_words", py_modules=[str(tmp_path / "plain_words")]))


def test_a_zip_that_is_not_there_fails_the_application(run, tmp_path):
    with pytest.raises(RuntimeError):
        run(importing("no_words", py_modules=[f"file://{tmp_path}/none.zip"]))
