"""What a proxy is told at its start."""

from __future__ import annotations

from pathlib import Path

import pytest

from remora.proxy.settings import Settings


@pytest.fixture
def key_file(tmp_path: Path) -> str:
    path = tmp_path / "key"
    path.write_text("secret\n")
    return str(path)


def test_arguments_win_over_the_environment_and_that_over_defaults(key_file: str) -> None:
    environ = {
        "REMORA_DATA_KEY_FILE": key_file,
        "REMORA_PORT": "1",
        "REMORA_ADMIN_PORT": "2",
        "REMORA_ACCESS_LOG": "off",
    }
    settings = Settings.read(["--port", "3"], environ)
    assert (settings.data_key, settings.proxy_key) == ("secret", "")
    assert (settings.port, settings.admin_port, settings.keep_alive_s) == (3, 2, 75)
    assert settings.access_log is False


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "REMORA_DATA_KEY_FILE"),
        ({"REMORA_DATA_KEY_FILE": "/nowhere/key"}, "/nowhere/key: No such file"),
        ({"REMORA_DATA_KEY_FILE": "/dev/null"}, "is empty"),
        ({"REMORA_DATA_KEY_FILE": __file__, "REMORA_TLS_KEY": __file__}, "--tls-certificate and --tls-key belong"),
        ({"REMORA_PORT": "many"}, "--port: invalid int value: 'many'"),
    ],
)
def test_a_bad_setting_is_named(environ: dict[str, str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        Settings.read([], environ)
    assert message in capsys.readouterr().err


def test_every_setting_has_a_default_that_the_dataclass_shares(key_file: str) -> None:
    assert Settings.read([], {"REMORA_DATA_KEY_FILE": key_file}) == Settings(data_key="secret")
