"""Whether and where a process traces: settings, exporters, and what is said where something is wrong with them."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from remora.compat.tracing_config import TracingConfig
from remora.errors import OptionError
from remora.local import settings as local_settings
from remora.local.script import _tracing
from remora.proxy.settings import Settings
from remora.tracing import exporters
from remora.tracing.exporters import TracingFailed, check_installed, processors
from remora.tracing.process import traced_caller, traced_service, tracer_of_proxy
from remora.tracing.settings import FILES, OFF, TRACING_OFF, TracingSettings, of_config

RAY_SERVES = "RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, TRACING_OFF),
        ({RAY_SERVES: ""}, TRACING_OFF),
        ({RAY_SERVES: "mine:exporter"}, TracingSettings("mine:exporter")),
        (
            {RAY_SERVES: "mine:exporter", "RAY_SERVE_TRACING_SAMPLING_RATIO": "1"},
            TracingSettings("mine:exporter", sampling_ratio=1.0),
        ),
        ({"REMORA_TRACING_EXPORTER": OFF, RAY_SERVES: "mine:exporter"}, TRACING_OFF),
        ({"REMORA_TRACING_ENDPOINT": "http://c:4318"}, TracingSettings("", "http://c:4318")),
        (
            {"REMORA_TRACING_ENDPOINT": "http://c:4318", RAY_SERVES: "mine:exporter"},
            TracingSettings("mine:exporter", "http://c:4318"),
        ),
    ],
    ids=["nothing", "empty", "Ray Serve's", "and its ratio", "off by Remora's", "an endpoint", "with an exporter"],
)
def test_the_environment_says_whether_and_where_to(environment: dict[str, str], expected: TracingSettings) -> None:
    found = TracingSettings.read(environment)
    assert found == expected
    assert TracingSettings.read(found.environment()) == found


@pytest.mark.parametrize("ratio", ["2", "-0.1", "much", "nan"])
def test_a_ratio_is_between_none_and_all(ratio: str) -> None:
    with pytest.raises(OptionError, match=f"RAY_SERVE_TRACING_SAMPLING_RATIO is '{ratio}', and must be a number"):
        TracingSettings.read({RAY_SERVES: "a:b", "RAY_SERVE_TRACING_SAMPLING_RATIO": ratio})


def test_a_proxy_that_is_told_a_wrong_ratio_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret")
    given = {"REMORA_DATA_KEY_FILE": str(tmp_path / "key"), "REMORA_TRACING_ENDPOINT": "http://c"}
    assert Settings.read([], given).tracing == TracingSettings("", "http://c")
    with pytest.raises(SystemExit):
        Settings.read([], given | {"REMORA_TRACING_SAMPLING_RATIO": "2"})
    assert "REMORA_TRACING_SAMPLING_RATIO is '2'" in capsys.readouterr().err


def test_a_config_without_an_exporter_writes_files() -> None:
    assert TracingConfig(enabled=True).settings == TracingSettings(FILES)
    assert TracingConfig(exporter_import_path="mine:exporter").settings == TRACING_OFF
    assert of_config(enabled=True, exporter_import_path="a:b", sampling_ratio=1).exporter == "a:b"


def test_off_is_said_too_as_an_earlier_instance_may_have_had_it_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("os.environ", {})
    given: Any = {"data_key_file": tmp_path, "output": tmp_path, "scratch": tmp_path}
    local_settings.prepare(**given, tracing=TracingSettings("mine:exporter"))
    assert TracingSettings.read(local_settings.prepare(**given)) == TRACING_OFF
    env = {RAY_SERVES: "mine:exporter"}
    assert TracingSettings.read(local_settings.prepare(**given, extra=env)) == TracingSettings("mine:exporter")


def test_a_wrong_tracing_config_is_an_error_of_serve_start() -> None:
    with pytest.raises(OptionError, match=r"tracing_config of serve.start is wrong: sampling_ratio"):
        _tracing({"sampling_ratio": 3})
    assert _tracing(None) is None
    assert _tracing({"enabled": False}) == TRACING_OFF


def test_off_puts_nothing_between_server_and_code() -> None:
    caller: Any = object()
    service: Any = object()
    assert tracer_of_proxy(TRACING_OFF) is None
    assert traced_caller(caller, None) is caller
    assert traced_service(service, None, "shop", "Front", "shop#Front#1") is service


def test_without_opentelemetry_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ImportError, match=r"pip install 'remora\[tracing\]'"):
        check_installed()
    with pytest.raises(TracingFailed, match="OpenTelemetry, which is not installed"):
        _tracing({"enabled": True})


def test_without_the_otlp_exporter_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opentelemetry.sdk", reason="pip install 'remora[tracing]'")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(TracingFailed, match="pip install opentelemetry-exporter-otlp-proto-http"):
        processors(TracingSettings("", "http://c"), "p")


def _exporters() -> ModuleType:
    from opentelemetry.sdk.trace import SpanProcessor

    module = ModuleType("mine")

    def raises() -> list[Any]:
        raise OSError("no route to the collector")

    found: dict[str, Any] = {
        "good": lambda: [SpanProcessor()],
        "takes": lambda name: [],
        "raises": raises,
        "none": lambda: None,
        "bare": lambda: [object()],
        "value": 3,
    }
    vars(module).update(found)
    return module


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nowhere:exporter", "'nowhere:exporter' cannot be imported: No module named 'nowhere'"),
        ("mine:nothing", "'mine:nothing' cannot be imported"),
        ("nothing", "'nothing' cannot be imported"),
        ("mine:value", "'mine:value' is int, and must be a function"),
        ("mine:takes", "'mine:takes' takes arguments, and must take none"),
        ("mine:raises", "'mine:raises' raised OSError: no route to the collector"),
        ("mine:none", "'mine:none' returned NoneType, and must return a list"),
        ("mine:bare", "'mine:bare' returned a list with object in it, which is no span processor"),
    ],
)
def test_an_exporter_that_is_none_is_named_with_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, path: str, said: str
) -> None:
    pytest.importorskip("opentelemetry.sdk", reason="pip install 'remora[tracing]'")
    monkeypatch.setitem(sys.modules, "mine", _exporters())
    with pytest.raises(TracingFailed) as raised:
        processors(TracingSettings(path), "p")
    assert said in str(raised.value)


def test_a_good_exporter_gives_its_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opentelemetry.sdk", reason="pip install 'remora[tracing]'")
    monkeypatch.setitem(sys.modules, "mine", _exporters())
    assert len(processors(TracingSettings("mine:good"), "p")) == len(processors(TracingSettings("mine.good"), "p")) == 1


def test_files_lie_in_rays_session_and_are_made_with_the_first_span(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("opentelemetry.sdk", reason="pip install 'remora[tracing]'")
    from opentelemetry.sdk.trace import TracerProvider

    session = tmp_path / "session_latest"
    monkeypatch.setattr(exporters, "SESSION", session)
    (made,) = processors(TracingSettings(FILES), "replica_x")
    provider = TracerProvider()
    provider.add_span_processor(made)
    (tmp_path / "session_1").mkdir()
    session.symlink_to(tmp_path / "session_1")
    assert not list(tmp_path.rglob("*.json"))
    provider.get_tracer("mine").start_span("one").end()
    provider.shutdown()
    written = tmp_path / "session_1" / "logs" / "serve" / "spans" / "replica_x_tracing.json"
    assert '"name": "one"' in written.read_text()
