"""JSON that may be used at once and may be awaited."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest

from remora.compat import json as compat_json

VALUES = ["text", 3, 2.5, [1, "a", None], {"a": {"b": [1]}, "t": True, "n": None}, True, False, None, "", 0, [], {}]


@pytest.mark.parametrize("value", VALUES, ids=repr)
async def test_awaiting_a_body_gives_the_plain_value(value: Any) -> None:
    found = await compat_json.body(value)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_body_can_be_used_as_the_value(value: Any) -> None:
    body = compat_json.body(value)
    assert body == value
    assert bool(body) == bool(value)
    if not isinstance(value, bool) and value is not None:
        assert isinstance(body, type(value))
        assert json.loads(json.dumps(body)) == value


async def test_what_is_taken_out_can_be_awaited_in_turn() -> None:
    body = compat_json.body({"name": "Corey", "deep": {"list": [1, {"x": 2.5}]}})
    assert await body["name"] == "Corey"
    assert await body.get("name") == "Corey"
    assert await body["deep"]["list"][1]["x"] == 2.5
    assert [await item for item in compat_json.body([1, 2])] == [1, 2]
    assert type(await body["deep"]["list"]) is list
    with pytest.raises(KeyError):
        body["other"]


def test_what_is_taken_out_behaves_as_its_type() -> None:
    body = compat_json.body({"s": "hello", "i": 2, "b": True, "n": None})
    assert body["s"].upper() == "HELLO"
    assert body["i"] + 1 == 3
    assert body["b"] is True
    assert body["n"] is None


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_pickling_and_copying_give_the_plain_value(value: Any) -> None:
    body = compat_json.awaitable(value)
    for found in (pickle.loads(pickle.dumps(body)), copy.copy(body), copy.deepcopy(body)):
        assert found == value
        assert type(found) is type(value)


async def test_true_false_and_null_inside_a_body_may_be_awaited_where_they_are_taken() -> None:
    found = compat_json.body({"yes": True, "no": False, "none": None, "list": [True]})
    assert await found["yes"] is True
    assert await found["no"] is False
    assert await found["none"] is None
    assert await found.get("yes") is True
    assert await found.get("missing") is None
    assert await found["list"][0] is True
    assert found["yes"] is True
    assert found.get("none") is None
    value = found["no"]
    assert value is False
