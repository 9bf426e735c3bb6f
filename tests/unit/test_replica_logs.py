"""logging_config of a deployment, as a replica applies it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from remora import serve
from remora.errors import OptionError
from remora.graph.build import build
from remora.graph.definition import loads
from remora.handle import context
from remora.handle.context import RequestContext
from remora.replica import logs

WHO = {"application": "shop", "deployment": "Cart", "replica": "c1"}


@pytest.fixture(autouse=True)
def loggers() -> Iterator[None]:
    """Put the loggers back as they were."""
    before = [(logging.getLogger(name), logging.getLogger(name).level) for name in logs.LOGGERS]
    yield
    for logger, level in before:
        for handler in logger.handlers:
            handler.close()
        logger.handlers, logger.propagate = [], True
        logger.setLevel(level)


def test_the_level_is_that_of_the_configuration() -> None:
    logs.configure({"log_level": "DEBUG"}, **WHO)
    assert logging.getLogger("ray.serve").getEffectiveLevel() == logging.DEBUG
    assert logging.getLogger("ray.serve").propagate


def test_json_lines_say_who_and_which_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = {"encoding": "JSON", "logs_dir": str(tmp_path / "new"), "additional_log_standard_attrs": ["process"]}
    logs.configure(given, **WHO)
    context.enter(RequestContext(request_id="r1", route="/cart"))
    try:
        logging.getLogger("ray.serve").warning("a %s", "word")
    finally:
        context.enter(RequestContext())
    (file,) = (tmp_path / "new").iterdir()
    line = json.loads(file.read_text())
    assert file.name == "replica_shop_Cart_c1.log"
    assert {
        "levelname": "WARNING",
        "message": "a word",
        "request_id": "r1",
        "route": "/cart",
        **WHO,
    }.items() <= line.items()
    assert line["process"]
    assert json.loads(capsys.readouterr().err)["message"] == "a word"


def test_a_deployments_own_configuration_goes_before_the_applications() -> None:
    @serve.deployment(logging_config={"log_level": "DEBUG"})
    class Own:
        def __init__(self, other: object) -> None: ...

    @serve.deployment
    class Other: ...

    built = build(Own.bind(Other.bind()), {"log_level": "ERROR"})
    found = [loads(data, lambda name: name) for data in built.definitions.values()]
    levels = {each.deployment: (each.logging or {})["log_level"] for each in found}
    assert levels == {"Own": "DEBUG", "Other": "ERROR"}


def test_a_wrong_configuration_is_refused_by_the_decorator() -> None:
    with pytest.raises(OptionError, match=r"deployment 'f': option logging_config is wrong: log_level: .*'LOUD'"):
        serve.deployment(name="f", logging_config={"log_level": "LOUD"})(print)
