"""The table of what Ray Serve has: every public name has a row, and no row promises what is not so."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from remora import serve
from remora.compat import config, exceptions
from remora.compat.ray_serve_names import NAMES
from remora.errors import OptionError, RemoraError
from remora.graph import options
from remora.local import script
from tests.compatibility import page, table
from tests.compatibility.__main__ import PAGE
from tests.compatibility.table import State

ROWS = table.rows()

IMPORT_ALL = """
import json, sys
from remora.compat import alias
alias.install()
found = {}
for module, name in json.load(sys.stdin):
    try:
        exec(f"from {module} import {name}", {})
        found[f"{module}.{name}"] = ""
    except ImportError as error:
        found[f"{module}.{name}"] = str(error)
    except Exception as error:
        found[f"{module}.{name}"] = f"{type(error).__name__}: {error}"
json.dump({"found": found, "ray_serve": "ray.serve._private" in sys.modules}, sys.stdout)
"""


@pytest.fixture(scope="module")
def imported() -> Mapping[str, Any]:
    """What importing each name comes to in a process with the alias: empty when it is there, else the error's words."""
    names = json.dumps([(row.section, row.name) for row in ROWS if row.is_name])
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL], input=names, capture_output=True, text=True, check=True)
    read: Mapping[str, Any] = json.loads(done.stdout)
    assert not read["ray_serve"], "nothing of Ray Serve is imported"
    found: Mapping[str, Any] = read["found"]
    return found


def test_every_public_name_has_one_row() -> None:
    rows = [(row.section, row.name) for row in ROWS if row.is_name]
    assert sorted(rows) == sorted((module, name) for module, names in NAMES.items() for name in names)


def test_what_works_imports(imported: Mapping[str, str]) -> None:
    promised = [f"{row.section}.{row.name}" for row in ROWS if row.is_name and row.state is not State.NOT_YET]
    assert {name: imported[name] for name in promised if imported[name]} == {}


def test_what_is_not_there_yet_says_so(imported: Mapping[str, str]) -> None:
    absent = [f"{row.section}.{row.name}" for row in ROWS if row.is_name and row.state is State.NOT_YET]
    unclear = {name: imported[name] for name in absent if imported[name] and "yet: docs/" not in imported[name]}
    assert unclear == {}
    arrived = [name for name in absent if not imported[name]]
    if arrived:
        pytest.skip(f"these have come: say in table.toml how they work: {', '.join(arrived)}")


def test_each_promise_has_its_test() -> None:
    assert [row for row in ROWS if row.case and not table.has_case(row.case)] == []


def test_the_options_of_the_table_are_options() -> None:
    rows = {row.name for row in ROWS if row.section == "area:Options of @serve.deployment"}
    assert [name for name in rows - {"version"} if "unknown option" in said_of(name)] == []


def said_of(option: str) -> str:
    try:
        options.of("Model", {option: None})
    except OptionError as error:
        return str(error)
    return ""


def test_the_page_is_what_the_table_says() -> None:
    assert PAGE.read_text() == page.text(ROWS), "run `make generate`"


def test_a_row_says_one_thing_only(tmp_path: Any) -> None:
    path = tmp_path / "table.toml"
    for entry in ('{case = "a", not_yet = "b"}', "{}", '{differs = "a"}'):
        path.write_text(f'["ray.serve"]\nrun = {entry}\n')
        with pytest.raises(ValueError, match=r"ray\.serve run: give case"):
            table.rows(path)


def test_settings_are_kept_as_given() -> None:
    kinds: list[Any] = [config.HTTPOptions, config.gRPCOptions]
    assert [kind(port=8011).port for kind in kinds] == [8011, 8011]
    assert config.ControllerOptions is not None
    assert config.RequestRouterConfig is not None


def test_a_grpc_status_error_holds_status_and_cause() -> None:
    error = exceptions.gRPCStatusError(ValueError("mine"), "code", "details")
    assert (str(error), error.grpc_code, error.grpc_details) == ("mine", "code", "details")


@serve.deployment
class One:
    def __call__(self) -> int:
        return 1


def test_shutdown_async_ends_what_runs() -> None:
    handle = serve.run(One.bind(), name="one", _local_testing_mode=True)
    assert handle.remote().result() == 1
    asyncio.run(serve.shutdown_async())
    with pytest.raises(RemoraError):
        handle.remote().result(timeout_s=5)


@pytest.mark.parametrize("options", [{"ssl_certfile": __file__}, {"ssl_keyfile": __file__}])
def test_half_of_tls_is_not_answered_in_the_clear(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="belong together"):
        asyncio.run(script._start(options, None))
    with pytest.raises(ValueError, match="belong together"):
        config.HTTPOptions(**options)
