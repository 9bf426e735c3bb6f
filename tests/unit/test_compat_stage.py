"""What a stage after `.then()` gets, by what its code looks like."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from starlette.requests import Request as StarletteRequest

from remora.compat import stage
from remora.compat.request import Request
from remora.compat.stage import Form, StageInput, StageRequest, form_of, shaped


def by_request_name(request):  # type: ignore[no-untyped-def]
    return request


def by_annotation(r: StarletteRequest) -> Any:
    return r


def by_annotation_as_text(r: Request) -> Any:
    return r


def by_use(r):  # type: ignore[no-untyped-def]
    return r.json()["data"]


def by_use_inside(r):  # type: ignore[no-untyped-def]
    return [r.json() for _ in range(1)]


def plain(value):  # type: ignore[no-untyped-def]
    return value


def annotated(request: str) -> str:
    return request


class Handler:
    async def __call__(self, request):  # type: ignore[no-untyped-def]
        return request


@pytest.mark.parametrize(
    ("function", "form"),
    [
        (by_request_name, Form.EITHER),
        (Handler(), Form.EITHER),
        (by_use, Form.EITHER),
        (by_use_inside, Form.EITHER),
        (by_annotation, Form.REQUEST),
        (by_annotation_as_text, Form.REQUEST),
        (plain, Form.VALUE),
        (annotated, Form.VALUE),
        (len, Form.VALUE),
        (lambda: 1, Form.VALUE),
        (lambda *values: values, Form.VALUE),
    ],
    ids=lambda value: str(getattr(value, "__name__", value)),
)
def test_the_form_is_read_from_the_code(function: Any, form: Form) -> None:
    assert form_of(function) is form


VALUES = ["hello", 3, 2.5, [1, 2], {"a": 1}, b"raw", (1, 2), True, None, 1j]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_is_passed_as_it_is(value: Any) -> None:
    assert shaped(StageInput(value), Form.VALUE) is value


@pytest.mark.parametrize("form", [Form.EITHER, Form.REQUEST])
@pytest.mark.parametrize("value", VALUES, ids=repr)
async def test_json_has_the_value_under_a_key_with_and_without_await(value: Any, form: Form) -> None:
    request = shaped(StageInput(value), form)
    assert request.json()["data"] == value
    assert (await request.json())["data"] == value


@pytest.mark.parametrize("value", ["hello", 3, 2.5, [1, 2], {"a": 1}, b"raw", (1, 2)], ids=repr)
def test_a_value_with_json_is_still_the_value(value: Any) -> None:
    either = shaped(StageInput(value), Form.EITHER)
    assert either == value
    assert isinstance(either, type(value))
    travelled = pickle.loads(pickle.dumps(either))
    assert travelled == value
    assert type(travelled) is type(value)


async def test_a_dict_is_the_body_itself() -> None:
    request = shaped(StageInput({"a": 1, "data": 2}), Form.EITHER)
    assert (request.json()["a"], request.json()["data"]) == (1, 2)
    assert await request.json()["a"] == 1
    with pytest.raises(KeyError):
        request.json()["b"]
    assert request.json().get("b", 5) == 5
    assert shaped(StageInput({"a": 1}), Form.EITHER).json()["data"] == {"a": 1}


def test_any_key_finds_a_value_that_is_no_dict() -> None:
    assert shaped(StageInput("x"), Form.EITHER).json()["text"] == "x"
    assert shaped(StageInput([1, 2]), Form.EITHER).json()[0] == 1


async def test_a_request_is_made_where_only_a_request_will_do() -> None:
    request = shaped(StageInput("hello"), Form.REQUEST)
    assert isinstance(request, StarletteRequest)
    assert await request.body() == b"hello"
    assert await shaped(StageInput({"a": 1}), Form.REQUEST).body() == b'{"a": 1}'
    assert isinstance(shaped(StageInput(None), Form.EITHER), StageRequest)


def test_an_object_with_its_own_json_is_left_alone() -> None:
    class Own:
        def json(self) -> str:
            return "mine"

    own = Own()
    assert shaped(StageInput(own), Form.EITHER) is own


def test_a_request_passed_on_stays_the_request() -> None:
    request = stage.StageRequest("x")
    assert shaped(StageInput(request), Form.REQUEST) is request
