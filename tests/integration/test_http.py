"""HTTP as clients and applications see it, through a proxy: heads, bodies, ends, and streams."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from typing import Annotated, Any

import fastapi
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from remora import serve
from remora.handle import DeploymentHandle, context
from tests.fakes.served import Served, served
from tests.fakes.services import until

seen: list[Any] = []
"""What user code told the test, in order."""


@pytest.fixture(autouse=True)
def _fresh() -> None:
    seen.clear()


async def raw(port: int, request: bytes, *, until_closed: bool = True) -> bytes:
    """Send bytes as they are and return the answer up to the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(-1 if until_closed else 65_536), 5)
    writer.close()
    return answer


def get(path: str, *lines: str, method: str = "GET", body: bytes = b"") -> bytes:
    head = "\r\n".join([f"{method} {path} HTTP/1.1", "host: x", *lines, "connection: close"])
    return head.encode() + b"\r\n\r\n" + body


# ── what the application knows ───────────────────────────────────────────────────────────────────────────────────


@serve.deployment
class Leaf:
    def __call__(self) -> dict[str, Any]:
        request = context.current()
        return {"id": request.request_id, "trace": dict(request.headers)}


@serve.deployment
class Told:
    """Answers with what it knows of its request, and what the deployment that it calls knows."""

    def __init__(self, leaf: DeploymentHandle) -> None:
        self.leaf = leaf

    async def __call__(self, request: Request) -> dict[str, Any]:
        current = context.current()
        return {
            "id": current.request_id,
            "model": serve.get_multiplexed_model_id(),
            "session": current.session_id,
            "trace": dict(current.headers),
            "route": current.route,
            "headers": [[name.decode(), value.decode("latin-1")] for name, value in request.headers.raw],
            "leaf": await self.leaf.remote(),
        }


async def test_ids_and_trace_reach_the_replica_and_its_calls() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = {"x-request-id": "mine", "traceparent": trace, "tracestate": "a=1", "x-session-id": "s-1"}
    async with served(Told.bind(Leaf.bind()), route_prefix="/told") as told:
        answer = await told.client.get("/told", headers=headers)
        knows = answer.json()
    expected = {"traceparent": trace, "tracestate": "a=1"}
    assert (knows["id"], knows["session"], knows["trace"], knows["route"]) == ("mine", "s-1", expected, "/told")
    assert knows["leaf"] == {"id": "mine", "trace": expected}
    assert answer.headers["x-request-id"] == "mine"


async def test_the_access_log_names_the_trace_where_there_is_one() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with served(Told.bind(Leaf.bind()), settings={"access_log": True}) as told:
        written = bytearray()
        assert told.proxy._access_log is not None
        told.proxy._access_log._write = written.extend
        await told.client.get("/", headers={"traceparent": trace})
        await told.client.get("/")
        await told.proxy._access_log.close()
    first, second = [json.loads(line) for line in written.splitlines()]
    assert (first["traceparent"], "traceparent" in second) == (trace, False)


async def test_an_id_is_made_where_the_client_has_none() -> None:
    async with served(Told.bind(Leaf.bind())) as told:
        first, second = [await told.client.get("/", headers={"x-request-id": ""}) for _ in range(2)]
    assert first.json()["id"] == first.json()["leaf"]["id"] == first.headers["x-request-id"]
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


@pytest.mark.parametrize(
    "name",
    [
        "serve_multiplexed_model_id",
        "serve-multiplexed-model-id",
        "Serve-Multiplexed-Model-Id",
        "serve_multiplexed-model_id",
    ],
)
async def test_a_model_is_asked_for_in_any_spelling(name: str) -> None:
    async with served(Told.bind(Leaf.bind())) as told:
        assert (await told.client.get("/", headers={name: "m-7"})).json()["model"] == "m-7"
        assert (await told.client.get("/")).json()["model"] == ""


async def test_headers_arrive_lower_cased_doubled_and_in_order() -> None:
    async with served(Told.bind(Leaf.bind())) as told:
        lines = ["X-A: 1", "x-a: 2", "Cookie: a=1", "X-Latin: caf\xe9"]
        head = "\r\n".join(["GET / HTTP/1.1", "Host: x", *lines, "Connection: close"]).encode("latin-1")
        answer = await raw(told.port, head + b"\r\n\r\n")
        headers = json.loads(answer.partition(b"\r\n\r\n")[2])["headers"]
    assert [pair for pair in headers if pair[0].startswith("x-a")] == [["x-a", "1"], ["x-a", "2"]]
    assert ["x-latin", "caf\xe9"] in headers
    assert ["cookie", "a=1"] in headers


async def test_trailers_are_no_headers() -> None:
    async with served(Told.bind(Leaf.bind())) as told:
        head = get("/", "transfer-encoding: chunked", "x-mine: 1", method="POST")
        answer = await raw(told.port, head + b"2\r\nhi\r\n0\r\nx-request-id: smuggled\r\nx-evil: 1\r\n\r\n")
        names = [name for name, _ in json.loads(answer.partition(b"\r\n\r\n")[2])["headers"]]
        assert b"smuggled" not in answer
        assert "x-mine" in names
        assert "x-evil" not in names


# ── where the application is ─────────────────────────────────────────────────────────────────────────────────────

shop = fastapi.FastAPI()


@shop.get("/")
def root() -> str:
    return "root"


@shop.get("/items/")
def items() -> str:
    return "items"


@shop.get("/where")
def where(request: Request) -> dict[str, str]:
    return {"path": request.url.path, "root": request.scope["root_path"], "items": str(request.url_for("items"))}


@shop.post("/form")
async def form(name: Annotated[str, fastapi.Form()], file: fastapi.UploadFile) -> dict[str, Any]:
    return {"name": name, "file": file.filename, "size": len(await file.read())}


@shop.api_route("/status/{code}", methods=["GET", "HEAD", "POST"])
def status(code: int) -> Response:
    return Response("a body", code, {"set-cookie": "a=1", "X-Upper": "Yes"})


@shop.get("/cookies")
def cookies() -> Response:
    answer = PlainTextResponse("ok")
    answer.set_cookie("a", "1")
    answer.set_cookie("b", "2")
    return answer


@shop.post("/size")
async def size(request: Request) -> int:
    total = 0
    async for part in request.stream():
        total += len(part)
        seen.append(len(part))
    return total


@shop.get("/forever")
def forever() -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        made = 0
        try:
            while True:
                yield b"x" * 50_000
                made += 1
        finally:
            seen.append(("forever ended", made))

    return StreamingResponse(parts())


@serve.deployment
@serve.ingress(shop)
class Shop:
    pass


async def test_docs_links_and_redirects_work_under_a_prefix() -> None:
    async with served(Shop.bind(), route_prefix="/api/v1") as api:
        docs = await api.client.get("/api/v1/docs")
        assert (docs.status_code, "/api/v1/openapi.json" in docs.text) == (200, True)
        schema = (await api.client.get("/api/v1/openapi.json")).json()
        assert schema["servers"] == [{"url": "/api/v1"}]
        assert "/items/" in schema["paths"]
        told = (await api.client.get("/api/v1/where")).json()
        assert told == {"path": "/api/v1/where", "root": "/api/v1", "items": f"{api.url}/api/v1/items/"}
        moved = await api.client.get("/api/v1/items")
        assert (moved.status_code, moved.headers["location"]) == (307, f"{api.url}/api/v1/items/")
        assert (await api.client.get("/api/v1/items/")).json() == "items"
        assert (await api.client.get("/api/v1/")).json() == "root"
        assert (await api.client.get("/api/v1", follow_redirects=True)).json() == "root"
        assert (await api.client.get("/api/v1x")).status_code == 404
        assert (await api.client.get("/api")).status_code == 404


async def test_a_proxy_in_front_may_have_cut_a_prefix() -> None:
    async with served(Shop.bind(), route_prefix="/api", settings={"root_path": "/outside"}) as api:
        told = (await api.client.get("/api/where")).json()
        assert (told["path"], told["root"]) == ("/outside/api/where", "/outside/api")
        assert (await api.client.get("/-/healthz")).text == "success"
        assert (await api.client.get("/-/routes")).json() == {"/api": "shop"}


async def test_the_proxy_s_own_paths_tell_when_no_traffic_should_come() -> None:
    async with served(Shop.bind(), route_prefix="/api") as api:
        healthy = await api.client.get("/-/healthz")
        assert (healthy.status_code, healthy.text) == (200, "success")
        assert healthy.headers["content-type"] == "text/plain; charset=utf-8"
        assert (await api.client.get("/-/routes")).json() == {"/api": "shop"}
        assert (await api.client.head("/-/healthz")).status_code == 200
        assert (await api.client.get("/-/other")).status_code == 404
        draining = asyncio.create_task(api.proxy.drain())
        await until(lambda: api.proxy.phase != "serving")
        for path in ("/-/healthz", "/-/routes"):
            answer = await api.client.get(path)
            assert (answer.status_code, "about to exit" in answer.text) == (503, True)
        await api.client.aclose()
        await draining


# ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("code", [204, 304])
async def test_answers_without_a_body_have_none_whatever_the_application_says(code: int) -> None:
    async with served(Shop.bind()) as api:
        answer = await raw(api.port, get(f"/status/{code}") * 1)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(f"HTTP/1.1 {code} ".encode())
        assert (body, b"content-length" in head, b"transfer-encoding" in head) == (b"", False, False)
        # And the connection goes on.
        for _ in range(2):
            assert (await api.client.get(f"/status/{code}")).status_code == code
        assert (await api.client.get("/cookies")).text == "ok"


@pytest.mark.parametrize("code", [200, 201, 302, 404, 418, 503, 599])
async def test_any_status_passes(code: int) -> None:
    async with served(Shop.bind()) as api:
        answer = await api.client.get(f"/status/{code}")
        assert (answer.status_code, answer.text, answer.headers["x-upper"]) == (code, "a body", "Yes")


async def test_head_has_the_headers_and_no_body() -> None:
    async with served(Shop.bind()) as api:
        answer = await raw(api.port, get("/status/200", method="HEAD"))
        head, _, body = answer.partition(b"\r\n\r\n")
        assert (b"content-length: 6" in head, body) == (True, b"")


async def test_an_informational_status_is_no_answer() -> None:
    async with served(Shop.bind()) as api:
        assert (await api.client.get("/status/100")).status_code == 500
        assert (await api.client.get("/status/200")).status_code == 200


async def test_a_header_may_come_twice() -> None:
    async with served(Shop.bind()) as api:
        answer = await api.client.get("/cookies")
        assert [cookie.split(";")[0] for cookie in answer.headers.get_list("set-cookie")] == ["a=1", "b=2"]


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application that writes its headers as it likes."""
    if scope["type"] != "http":
        return
    match scope["path"]:
        case "/capitals":
            headers = [(b"Content-Type", b"text/plain"), (b"Transfer-Encoding", b"chunked"), (b"Connection", b"close")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"ok"})
        case "/trailers":
            await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
            await send({"type": "http.response.body", "body": b"ok"})
            await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]})
        case "/short":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
            await send({"type": "http.response.body", "body": b"ok"})
        case _:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"ok"})


Bare = serve.deployment(serve.ingress(bare)(type("Bare", (), {})))


async def test_an_application_cannot_frame_the_answer_itself() -> None:
    async with served(Bare.bind()) as api:
        for path in ("/capitals", "/trailers", "/"):
            answers = [await api.client.get(path) for _ in range(3)]
            assert [answer.text for answer in answers] == ["ok"] * 3
            assert "connection" not in answers[0].headers
        with pytest.raises(Exception, match=r"(?i)peer closed|disconnected|content-length"):
            await api.client.get("/short")


# ── request bodies ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_forms_and_files_arrive() -> None:
    async with served(Shop.bind()) as api:
        answer = await api.client.post("/form", data={"name": "n"}, files={"file": ("f.bin", b"x" * 300_000)})
        assert answer.json() == {"name": "n", "file": "f.bin", "size": 300_000}


async def test_a_chunked_body_arrives_as_it_comes() -> None:
    async with served(Shop.bind()) as api:
        gate = asyncio.Event()

        async def parts() -> AsyncIterator[bytes]:
            yield b"x" * 10
            await gate.wait()
            yield b"x" * 200_000

        asking = asyncio.create_task(api.client.post("/size", content=parts()))
        await until(lambda: seen == [10])
        gate.set()
        assert (await asking).json() == 200_010


@pytest.mark.parametrize(
    "bad",
    [
        ["content-length: x"],
        ["content-length: -1"],
        ["content-length: 3", "content-length: 4"],
        ["content-length: 3", "transfer-encoding: chunked"],
        ["transfer-encoding: gzip"],
        ["bad header: 1"],
        ["x: a\0b"],
    ],
    ids=lambda lines: lines[-1].replace("\0", "NUL"),
)
async def test_a_body_of_unclear_length_is_400(bad: list[str]) -> None:
    async with served(Shop.bind()) as api:
        answer = await raw(api.port, get("/size", *bad, method="POST", body=b"123"))
        assert answer.startswith(b"HTTP/1.1 400"), answer
        assert answer.count(b"HTTP/1.1") == 1
        assert (await api.client.get("/")).status_code == 200


async def test_a_bad_chunk_is_no_body_and_harms_nobody() -> None:
    async with served(Shop.bind()) as api:
        answer = await raw(api.port, get("/size", "transfer-encoding: chunked", method="POST", body=b"zz\r\nno\r\n"))
        assert not answer.startswith(b"HTTP/1.1 200")
        await until(lambda: not api.replicas["Shop"].ongoing and not api.proxy.metrics.ongoing)
        assert (await api.client.get("/")).status_code == 200


async def test_a_client_is_asked_to_go_on_with_its_body() -> None:
    async with served(Shop.bind()) as api:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        writer.write(get("/size", "content-length: 5", "expect: 100-continue", method="POST"))
        assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"12345")
        answer = await asyncio.wait_for(reader.read(), 5)
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(b"\r\n\r\n5")
        writer.close()


@pytest.mark.parametrize("how", ["whole", "in pieces", "chunked"])
async def test_an_upgrade_that_nobody_speaks_is_ignored_and_the_body_is_not(how: str) -> None:
    lines = ["connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABkAARAAAAAAAIAAAAA"]
    body = b"3\r\n123\r\n2\r\n45\r\n0\r\n\r\n" if how == "chunked" else b"12345"
    lines.append("transfer-encoding: chunked" if how == "chunked" else "content-length: 5")
    request = "\r\n".join(["POST /size HTTP/1.1", "host: x", *lines, "", ""]).encode() + body
    plain = "\r\n".join(["GET /status/202 HTTP/1.1", "host: x", *lines[:3], "", ""]).encode()
    async with served(Shop.bind()) as api:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        # Twice, and another behind it: the connection goes on.
        everything = request + request + plain + get("/status/418")
        for part in [everything] if how == "whole" else [everything[i : i + 7] for i in range(0, len(everything), 7)]:
            writer.write(part)
            await asyncio.sleep(0)
        answer = await asyncio.wait_for(reader.read(), 5)
        assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [b"200", b"200", b"202", b"418"]
        assert answer.count(b"\r\n\r\n5HTTP") == 2
        writer.close()


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with served(Shop.bind()) as api:
        one = b"GET /status/%d HTTP/1.1\r\nhost: x\r\n\r\n"
        answer = await raw(api.port, b"".join(one % code for code in (201, 202, 203)) + get("/status/418"))
        assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [b"201", b"202", b"203", b"418"]


async def test_an_endless_head_is_431() -> None:
    async with served(Shop.bind()) as api:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n")
        answer = b""
        for number in range(1000):
            writer.write(b"x-%d: %s\r\n" % (number, b"y" * 1000))
            await asyncio.sleep(0)
            if reader.at_eof() or reader.exception() or writer.is_closing():
                break
        with contextlib.suppress(ConnectionError):  # Bytes that nobody read reset the connection.
            answer = await asyncio.wait_for(reader.read(), 5)
            assert answer.startswith(b"HTTP/1.1 431")
        assert number < 999
        writer.close()
        large = await api.client.get("/", headers={"x-large": "y" * 70_000})
        assert large.status_code == 431
        fits = await api.client.get("/", headers={"x-large": "y" * 60_000})
        assert fits.status_code == 200


# ── ends ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@serve.deployment
class Deep:
    async def __call__(self, request: Any) -> None:
        seen.append("deep begins")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("deep cancelled")
            raise


@serve.deployment
class Middle:
    def __init__(self, deep: DeploymentHandle) -> None:
        self.deep = deep

    async def __call__(self, request: Any) -> Any:
        try:
            return await self.deep.remote("x")
        except asyncio.CancelledError:
            seen.append("middle cancelled")
            raise


@serve.deployment
class Top:
    def __init__(self, middle: DeploymentHandle) -> None:
        self.middle = middle

    async def __call__(self, request: Request) -> Any:
        try:
            return await self.middle.remote("x")
        except asyncio.CancelledError:
            seen.append("top cancelled")
            raise


def quiet(app: Served) -> bool:
    return not any(replica.ongoing for replica in app.replicas.values()) and not app.proxy.metrics.ongoing


async def test_a_client_that_goes_cancels_all_that_was_called_for_it() -> None:
    async with served(Top.bind(Middle.bind(Deep.bind()))) as app:
        _, writer = await asyncio.open_connection("127.0.0.1", app.port)
        writer.write(get("/"))
        await until(lambda: seen == ["deep begins"])
        writer.close()
        await until(lambda: quiet(app))
        assert sorted(seen[1:]) == ["deep cancelled", "middle cancelled", "top cancelled"]


async def test_a_timeout_cancels_all_that_was_called_for_it() -> None:
    async with served(Top.bind(Middle.bind(Deep.bind())), request_timeout_s=0.2) as app:
        answer = await app.client.get("/", headers={"x-request-id": "mine"})
        assert (answer.status_code, "mine" in answer.text, "0.2 s" in answer.text) == (408, True, True)
        assert answer.text.startswith("deployment 'Top' of application 'shop': ")
        await until(lambda: quiet(app))
        assert sorted(seen[1:]) == ["deep cancelled", "middle cancelled", "top cancelled"]


@serve.deployment
class Slow:
    def __init__(self) -> None:
        self.gate = asyncio.Event()

    async def __call__(self, request: Request) -> str:
        if request.url.path == "/open":
            self.gate.set()
            return "opened"
        seen.append("begins")
        try:
            await self.gate.wait()
            seen.append("ends")
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        return "slow"


@pytest.mark.parametrize("value", ["0", "-1", "inf"])
async def test_a_client_may_ask_for_no_timeout(value: str) -> None:
    async with served(Slow.bind(), request_timeout_s=0.05) as app:
        slow = asyncio.create_task(app.client.get("/", headers={"x-request-timeout-seconds": value}))
        assert (await app.client.get("/")).status_code == 408
        assert not slow.done()
        await app.client.get("/open")
        assert (await slow).text == "slow"


async def test_a_timeout_that_is_no_number_is_the_application_s() -> None:
    async with served(Slow.bind(), request_timeout_s=0.05) as app:
        for value in ("soon", "", "nan"):
            assert (await app.client.get("/", headers={"x-request-timeout-seconds": value})).status_code == 408


@pytest.mark.parametrize("how", ["whole", "with a body to come"])
async def test_a_client_may_ask_that_its_request_go_on_without_it(how: str) -> None:
    async with served(Slow.bind()) as app:
        _, writer = await asyncio.open_connection("127.0.0.1", app.port)
        lines = ["x-request-disconnect-disabled: ?1"]
        writer.write(get("/", *lines) if how == "whole" else get("/", *lines, "content-length: 100000", method="POST"))
        if how != "whole":
            writer.write(b"x" * 100_000)
        await until(lambda: seen == ["begins"])
        writer.close()
        assert (await app.client.get("/open")).text == "opened"
        await until(lambda: quiet(app))
        assert seen == ["begins", "ends"]


async def test_a_client_that_vanishes_in_the_middle_of_its_body_is_a_disconnect() -> None:
    async with served(Shop.bind()) as api:
        _, writer = await asyncio.open_connection("127.0.0.1", api.port)
        writer.write(get("/size", "content-length: 100", method="POST", body=b"x" * 50))
        await until(lambda: seen == [50])
        writer.transport.abort()
        await until(lambda: quiet(api))
        assert 'code="499"' in api.proxy.metrics.text()
        assert (await api.client.get("/")).status_code == 200


@serve.deployment
class Odd:
    def __call__(self, request: Request) -> Any:
        match request.url.path:
            case "/object":
                return object()
            case "/nested":
                return {"a": [1, {"b": object()}]}
            case "/circle":
                circle: list[Any] = []
                circle.append(circle)
                return circle
            case "/stream":
                return (item for item in ("a", "b", object()))
            case "/surrogate":
                return "\ud800"
            case _:
                return "ok"


async def test_what_cannot_be_encoded_is_500_and_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async with served(Odd.bind()) as api:
        for path in ("/object", "/nested", "/circle", "/surrogate"):
            answer = await api.client.get(path)
            assert (path, answer.status_code, answer.text) == (path, 500, "Internal Server Error")
        assert "deployment 'Odd'" in caplog.text
        with pytest.raises(Exception, match=r"(?i)peer closed|incomplete"):
            await api.client.get("/stream")
        assert (await api.client.get("/")).text == "ok"


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────────────────


@serve.deployment
class Numbers:
    async def count(self, size: int) -> AsyncIterator[bytes]:
        made = 0
        try:
            while True:
                yield b"%d" % made + b" " * size
                made += 1
        finally:
            seen.append(("child ended", made))


@serve.deployment
class Streams:
    def __init__(self, numbers: DeploymentHandle) -> None:
        self.numbers = numbers.options(stream=True)
        self.step = asyncio.Event()

    async def __call__(self, request: Request) -> Any:
        match request.url.path:
            case "/events":
                return StreamingResponse(self._events(), media_type="text/event-stream")
            case "/step":
                self.step.set()
                return "stepped"
            case "/child":
                return StreamingResponse(self._relayed())
            case "/plain":
                return self._plain()
        return "ok"

    async def _events(self) -> AsyncIterator[str]:
        try:
            for number in range(3):
                yield f"data: {number}\n\n"
                await self.step.wait()
                self.step.clear()
            await asyncio.Event().wait()
        finally:
            seen.append("events ended")

    async def _relayed(self) -> AsyncIterator[bytes]:
        made = 0
        try:
            async for item in self.numbers.count.remote(50_000):
                yield item
                made += 1
        finally:
            seen.append(("relay ended", made))

    def _plain(self) -> Any:
        made = 0
        try:
            while True:
                yield "x" * 50_000
                made += 1
        finally:
            seen.append(("plain ended", made))


async def test_events_arrive_one_by_one_and_end_with_the_client() -> None:
    async with served(Streams.bind(Numbers.bind())) as app:
        async with app.client.stream("GET", "/events") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            parts = answer.aiter_text()
            for number in range(3):
                assert await asyncio.wait_for(anext(parts), 5) == f"data: {number}\n\n"
                assert (await app.client.get("/step")).text == "stepped"
            assert not seen
        await until(lambda: seen == ["events ended"])
        await until(lambda: quiet(app))


@pytest.mark.parametrize(
    ("bound", "path", "ends"),
    [
        (Streams.bind(Numbers.bind()), "/child", 2),
        (Streams.bind(Numbers.bind()), "/plain", 1),
        (Shop.bind(), "/forever", 1),
    ],
    ids=["through a handle", "a plain generator", "FastAPI"],
)
async def test_a_slow_reader_slows_the_generator_and_the_one_behind_it(bound: Any, path: str, ends: int) -> None:
    async with served(bound) as app:
        reader, writer = await asyncio.open_connection("127.0.0.1", app.port, limit=1)
        writer.write(get(path))
        await reader.readexactly(10)
        for _ in range(100):  # The generators would have made gigabytes by then.
            assert (await app.client.get("/")).status_code == 200
        writer.transport.abort()
        await until(lambda: quiet(app) and len(seen) == ends)
        # 50 kB each: what the windows and the kernels' buffers on the way hold, and no more.
        assert all(made < 400 for _, made in seen), seen
