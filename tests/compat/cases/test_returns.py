"""What a handler returns, as an HTTP response."""

import dataclasses
import datetime
import enum
import uuid

import pytest
from pydantic import BaseModel
from ray import serve
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response


class Colour(enum.Enum):
    red = "r"


class Point(BaseModel):
    x: int
    y: float = 0.5


@dataclasses.dataclass
class Size:
    width: int
    parts: list[int]


VALUES = {
    "str": lambda: "moin",
    "umlauts": lambda: "größer",
    "bytes": lambda: b"\x00\x01raw",
    "none": lambda: None,
    "int": lambda: 7,
    "float": lambda: 1.5,
    "bool": lambda: True,
    "dict": lambda: {"a": [1, None, "b"], "n": {"m": 2.5}},
    "list": lambda: [1, "two", {"three": 3}],
    "tuple": lambda: (1, 2),
    "set": lambda: {5},
    "empty": lambda: {},
    "int keys": lambda: {1: "one"},
    "model": lambda: Point(x=1),
    "models": lambda: {"points": [Point(x=1), Point(x=2, y=3)]},
    "dataclass": lambda: Size(3, [1, 2]),
    "enum": lambda: {"colour": Colour.red},
    "date": lambda: {"at": datetime.datetime(2026, 1, 2, 3, 4, 5), "day": datetime.date(2026, 1, 2)},
    "uuid": lambda: uuid.UUID(int=5),
    "json response": lambda: JSONResponse({"made": True}, status_code=201, headers={"x-mine": "yes"}),
    "text response": lambda: PlainTextResponse("plain", status_code=202),
    "html response": lambda: HTMLResponse("<p>hi</p>"),
    "raw response": lambda: Response(b"\x89PNG", media_type="image/png"),
    "no content": lambda: Response(status_code=204),
    "redirect": lambda: RedirectResponse("/elsewhere", status_code=307),
    "cookie": lambda: with_cookie(),
}


def with_cookie() -> Response:
    made = PlainTextResponse("set")
    made.set_cookie("flavour", "oat", httponly=True)
    return made


@serve.deployment
class Returns:
    async def __call__(self, request: Request):
        name = request.query_params["value"]
        if name == "object":
            return object()
        if name == "function":
            return {"f": print}
        if name == "raises":
            raise ValueError("a secret of the house")
        return VALUES[name]()


@pytest.fixture(scope="module")
def returns(share):
    share(Returns.bind(), "returns")


@pytest.fixture
def get(returns, http):
    return lambda value: http.get("/returns/", params={"value": value})


def test_a_str_is_text(get):
    answer = get("str")
    assert (answer.status_code, answer.text) == (200, "moin")
    assert answer.headers["content-type"].startswith("text/plain")


def test_a_str_is_utf8(get):
    answer = get("umlauts")
    assert answer.content == "größer".encode()


def test_bytes_arrive_as_they_are(get):
    assert get("bytes").content == b"\x00\x01raw"


def test_none_is_an_empty_body(get):
    answer = get("none")
    assert (answer.status_code, answer.content) == (200, b"")


def test_numbers_and_bools_are_json(get):
    for name, value in (("int", 7), ("float", 1.5), ("bool", True)):
        answer = get(name)
        assert answer.headers["content-type"] == "application/json"
        assert answer.json() == value


def test_a_dict_is_json(get):
    answer = get("dict")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"a": [1, None, "b"], "n": {"m": 2.5}}


def test_lists_tuples_and_sets_are_json_arrays(get):
    assert get("list").json() == [1, "two", {"three": 3}]
    assert get("tuple").json() == [1, 2]
    assert get("set").json() == [5]


def test_an_empty_dict_is_json(get):
    assert get("empty").text == "{}"


def test_keys_that_are_numbers_become_text(get):
    assert get("int keys").json() == {"1": "one"}


def test_pydantic_models_are_json(get):
    assert get("model").json() == {"x": 1, "y": 0.5}
    assert get("models").json() == {"points": [{"x": 1, "y": 0.5}, {"x": 2, "y": 3.0}]}


def test_dataclasses_and_enums_are_json(get):
    assert get("dataclass").json() == {"width": 3, "parts": [1, 2]}
    assert get("enum").json() == {"colour": "r"}


def test_dates_and_uuids_are_iso_text(get):
    assert get("date").json() == {"at": "2026-01-02T03:04:05", "day": "2026-01-02"}
    assert get("uuid").json() == "00000000-0000-0000-0000-000000000005"


def test_a_starlette_json_response_goes_as_it_is(get):
    answer = get("json response")
    assert (answer.status_code, answer.json(), answer.headers["x-mine"]) == (201, {"made": True}, "yes")


def test_a_starlette_text_and_html_response_keep_status_and_type(get):
    assert (get("text response").status_code, get("text response").text) == (202, "plain")
    assert get("html response").headers["content-type"] == "text/html; charset=utf-8"


def test_a_raw_response_keeps_its_media_type_and_length(get):
    answer = get("raw response")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-length"] == "4"
    assert answer.content == b"\x89PNG"


def test_no_content_has_no_body(get):
    answer = get("no content")
    assert (answer.status_code, answer.content) == (204, b"")


def test_a_redirect_is_passed_on(get):
    answer = get("redirect")
    assert (answer.status_code, answer.headers["location"]) == (307, "/elsewhere")


def test_a_cookie_is_set(get):
    assert "flavour=oat" in get("cookie").headers["set-cookie"]


def test_a_handler_that_raises_is_a_500_and_the_next_request_works(get):
    answer = get("raises")
    assert answer.status_code == 500
    assert "Internal Server Error" in answer.text
    assert get("str").text == "moin"


def test_what_cannot_be_encoded_is_a_500(get):
    assert get("function").status_code == 500
    assert get("str").text == "moin"
