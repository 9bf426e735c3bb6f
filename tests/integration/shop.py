"""A FastAPI application with a route for each thing that HTTP can do, and what user code told the test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

import fastapi
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from remora import serve

seen: list[Any] = []
"""What user code told the test, in order."""


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
