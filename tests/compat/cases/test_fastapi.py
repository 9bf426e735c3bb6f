"""serve.ingress with FastAPI: what a FastAPI application does anywhere, it does here."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, Header, HTTPException, Query, Request, UploadFile
from fastapi.responses import HTMLResponse, PlainTextResponse, StreamingResponse
from pydantic import BaseModel, Field
from ray import serve
from ray.serve.handle import DeploymentHandle

app = FastAPI(title="Shop", version="1.2.3")
router = APIRouter(prefix="/items", tags=["items"])


class Item(BaseModel):
    name: str
    price: float = Field(gt=0)
    tags: list[str] = []


class Priced(BaseModel):
    name: str
    total: float


class Teapot(Exception):
    pass


def token(x_token: Annotated[str, Header()]) -> str:
    if x_token != "open":
        raise HTTPException(403, detail="wrong token")
    return x_token


async def paging(skip: int = 0, limit: Annotated[int, Query(le=100)] = 10):
    return {"skip": skip, "limit": limit}


@app.middleware("http")
async def stamp(request: Request, call_next):
    answer = await call_next(request)
    answer.headers["x-stamp"] = request.url.path
    return answer


@app.exception_handler(Teapot)
async def teapot(request: Request, error: Teapot):
    return PlainTextResponse("short and stout", status_code=418)


@app.get("/function")
def function():
    return {"from": "a function"}


@router.get("/{item_id}")
async def item_of_router(item_id: int):
    return {"router item": item_id}


app.include_router(router)


@serve.deployment
class Tax:
    def __call__(self, price: float) -> float:
        return price * 1.5


@serve.deployment(max_ongoing_requests=20)
@serve.ingress(app)
class Shop:
    def __init__(self, tax: DeploymentHandle, greeting: str):
        self.tax = tax
        self.greeting = greeting
        self.done = []

    @app.get("/")
    def root(self):
        return self.greeting

    @app.get("/hello/{name}")
    async def hello(self, name: str, times: int = 1):
        return " ".join([f"{self.greeting} {name}"] * times)

    @app.post("/buy", response_model=Priced, status_code=201)
    async def buy(self, item: Item):
        return {"name": item.name, "total": await self.tax.remote(item.price), "secret": 1}

    @app.get("/secret")
    def secret(self, given: Annotated[str, Depends(token)]):
        return {"token": given, "greeting": self.greeting}

    @app.get("/page")
    def page(self, page: dict = Depends(paging)):  # noqa: B008 - the way of FastAPI
        return page

    @app.get("/missing")
    def missing(self):
        raise HTTPException(404, detail={"reason": "sold out"}, headers={"x-why": "sold"})

    @app.get("/teapot")
    def teapot(self):
        raise Teapot

    @app.get("/broken")
    def broken(self):
        raise RuntimeError("a secret of the house")

    @app.get("/html", response_class=HTMLResponse)
    def html(self):
        return "<b>hi</b>"

    @app.post("/upload")
    async def upload(self, file: UploadFile):
        return {"name": file.filename, "size": len(await file.read())}

    @app.post("/form")
    async def form(self, request: Request):
        return dict(await request.form())

    @app.get("/stream")
    def stream(self):
        return StreamingResponse((f"{i}\n" for i in range(3)), media_type="text/plain")

    @app.get("/request")
    async def request(self, request: Request):
        return {"path": request.url.path, "root": request.scope["root_path"], "query": dict(request.query_params)}

    @app.post("/later")
    def later(self, tasks: BackgroundTasks):
        tasks.add_task(self.done.append, 1)
        return "accepted"

    @app.get("/done")
    def how_many_done(self):
        return len(self.done)

    @app.api_route("/many", methods=["PUT", "DELETE", "PATCH"])
    def many(self, request: Request):
        return request.method

    def not_a_route(self, x):
        return f"{self.greeting} {x}"


@pytest.fixture(scope="module")
def served(share):
    return share(Shop.bind(Tax.bind(), "moin"), "shop")


@pytest.fixture
def shop(served, instance):
    with httpx.Client(base_url=f"http://{instance}/shop", timeout=20) as client:
        yield client


def test_a_route_that_is_a_method_has_self(shop):
    assert shop.get("/").json() == "moin"


def test_path_and_query_parameters(shop):
    assert shop.get("/hello/Ada", params={"times": 2}).json() == "moin Ada moin Ada"


def test_wrong_parameters_are_a_422_that_names_them(shop):
    answer = shop.get("/hello/Ada", params={"times": "often"})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", "times"]


def test_a_pydantic_body_is_parsed_and_the_response_model_filters(shop):
    answer = shop.post("/buy", json={"name": "tea", "price": 2})
    assert (answer.status_code, answer.json()) == (201, {"name": "tea", "total": 3.0})


def test_a_wrong_body_is_a_422(shop):
    assert shop.post("/buy", json={"name": "tea", "price": -1}).status_code == 422
    assert shop.post("/buy", content=b"{no json").status_code == 422


def test_dependencies_are_resolved(shop):
    assert shop.get("/secret", headers={"x-token": "open"}).json() == {"token": "open", "greeting": "moin"}
    assert shop.get("/secret", headers={"x-token": "shut"}).status_code == 403
    assert shop.get("/secret").status_code == 422


def test_dependencies_with_parameters(shop):
    assert shop.get("/page", params={"skip": 5}).json() == {"skip": 5, "limit": 10}
    assert shop.get("/page", params={"limit": 500}).status_code == 422


def test_an_http_exception_keeps_status_detail_and_headers(shop):
    answer = shop.get("/missing")
    assert (answer.status_code, answer.json()) == (404, {"detail": {"reason": "sold out"}})
    assert answer.headers["x-why"] == "sold"


def test_an_exception_handler_answers(shop):
    answer = shop.get("/teapot")
    assert (answer.status_code, answer.text) == (418, "short and stout")


def test_an_exception_is_a_500_without_its_text(shop):
    answer = shop.get("/broken")
    assert answer.status_code == 500
    assert "Internal Server Error" in answer.text
    assert shop.get("/").status_code == 200


def test_middleware_sees_every_request(shop):
    assert shop.get("/hello/x").headers["x-stamp"].endswith("/hello/x")


def test_routes_that_are_functions(shop):
    assert shop.get("/function").json() == {"from": "a function"}


def test_an_included_router(shop):
    assert shop.get("/items/4").json() == {"router item": 4}
    assert shop.get("/items/four").status_code == 422


def test_unknown_paths_and_methods_are_fastapis_own(shop):
    assert shop.get("/nowhere").status_code == 404
    assert shop.get("/nowhere").json() == {"detail": "Not Found"}
    assert shop.delete("/hello/x").status_code == 405


def test_methods_other_than_get_and_post(shop):
    assert [shop.request(method, "/many").json() for method in ("PUT", "DELETE", "PATCH")] == ["PUT", "DELETE", "PATCH"]


def test_head_and_options(shop):
    assert shop.options("/many").status_code == 405
    assert shop.head("/hello/x").status_code == 405


def test_a_response_class(shop):
    answer = shop.get("/html")
    assert (answer.headers["content-type"], answer.text) == ("text/html; charset=utf-8", "<b>hi</b>")


def test_an_upload(shop):
    assert shop.post("/upload", files={"file": ("a.txt", b"x" * 100_000)}).json() == {"name": "a.txt", "size": 100_000}


def test_a_form(shop):
    assert shop.post("/form", data={"a": "1", "b": "zwei"}).json() == {"a": "1", "b": "zwei"}


def test_a_streaming_response(shop):
    assert shop.get("/stream").text == "0\n1\n2\n"


def test_the_request_knows_path_and_prefix(shop):
    answer = shop.get("/request", params={"a": "b"}).json()
    assert answer["root"] == "/shop"
    assert answer["path"].endswith("/request")
    assert answer["query"] == {"a": "b"}


def test_background_tasks_run(shop):
    before = shop.get("/done").json()
    assert shop.post("/later").json() == "accepted"
    assert shop.get("/done").json() == before + 1


def test_the_openapi_document_is_under_the_prefix(shop):
    document = shop.get("/openapi.json").json()
    assert document["info"] == {"title": "Shop", "version": "1.2.3"}
    assert {"/hello/{name}", "/buy", "/items/{item_id}", "/function"} <= set(document["paths"])
    assert "self" not in str(document["paths"]["/hello/{name}"])


def test_the_docs_page_finds_the_document_under_the_prefix(shop):
    answer = shop.get("/docs")
    assert answer.status_code == 200
    assert "/shop/openapi.json" in answer.text


def test_methods_that_are_no_routes_are_called_by_handle(served):
    assert served.not_a_route.remote("you").result() == "moin you"


def test_lifespan_runs_on_the_replica(run, http):
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def lifespan(app):
        app.state.ready = "yes"
        yield

    mine = FastAPI(lifespan=lifespan)

    @serve.deployment
    @serve.ingress(mine)
    class Mine:
        @mine.get("/")
        def root(self, request: Request):
            return request.app.state.ready

    run(Mine.bind())
    assert http.get("/").json() == "yes"


def test_a_builder_function_makes_the_app_on_the_replica(run, http):
    def build():
        made = FastAPI()

        @made.get("/built")
        def built():
            return serve.get_replica_context().deployment

        return made

    run(serve.deployment(serve.ingress(build)()).options(name="Built").bind())
    assert http.get("/built").json() == "Built"


def test_the_class_may_build_its_app(run, http):
    @serve.deployment
    @serve.ingress()
    class Late:
        def __init__(self):
            self.word = "late"

        def __serve_build_asgi_app__(self):
            made = FastAPI()
            made.get("/")(lambda: self.word)
            return made

    run(Late.bind())
    assert http.get("/").json() == "late"


def test_a_starlette_application(run, http):
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Mount, Route

    async def home(request):
        return JSONResponse({"at": request.url.path, "id": request.path_params.get("id")})

    inner = Starlette(routes=[Route("/{id:int}", home, methods=["GET"])])
    star = Starlette(routes=[Route("/", home), Mount("/in", app=inner)])

    @serve.deployment
    @serve.ingress(star)
    class Star:
        pass

    run(Star.bind())
    assert http.get("/").json()["at"] == "/"
    assert http.get("/in/3").json()["id"] == 3
    assert http.get("/in/x").status_code == 404


def test_a_plain_asgi_application(run, http):
    async def asgi(scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": message["type"] + ".complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        body = (await receive()).get("body", b"")
        await send({"type": "http.response.start", "status": 203, "headers": [(b"x-a", b"b")]})
        await send({"type": "http.response.body", "body": body[::-1]})

    class Asgi:
        async def __call__(self, scope, receive, send):
            await asgi(scope, receive, send)

    @serve.deployment
    @serve.ingress(Asgi())
    class Bare:
        pass

    run(Bare.bind())
    answer = http.post("/", content=b"abc")
    assert (answer.status_code, answer.text, answer.headers["x-a"]) == (203, "cba", "b")


def test_routes_are_inherited(run, http):
    base_app = FastAPI()

    class Base:
        word = "base"

        @base_app.get("/word")
        def get_word(self):
            return self.word

    @serve.deployment
    @serve.ingress(base_app)
    class Child(Base):
        word = "child"

    run(Child.bind())
    assert http.get("/word").json() == "child"


def test_classes_that_share_an_application_have_their_own_routes_only(run, http):
    both = FastAPI()

    @serve.deployment
    @serve.ingress(both)
    class First:
        @both.get("/")
        def which(self):
            return "first"

        @both.get("/only-first")
        def only(self):
            return 1

    @serve.deployment
    @serve.ingress(both)
    class Second:
        @both.get("/")
        def which_one(self):
            return "second"

    run(First.bind(), name="first", route_prefix="/first")
    run(Second.bind(), name="second", route_prefix="/second")
    assert [http.get(path).json() for path in ("/first/", "/second/")] == ["first", "second"]
    assert [http.get(f"/{name}/only-first").status_code for name in ("first", "second")] == [200, 404]


def test_plain_routes_run_as_many_at_once_as_requests_may(run, http):
    slow = FastAPI()

    @serve.deployment(max_ongoing_requests=60)
    @serve.ingress(slow)
    class Slow:
        def __init__(self):
            self.now = self.most = 0
            self.lock = threading.Lock()

        @slow.get("/wait")
        def wait(self):
            with self.lock:
                self.now += 1
                self.most = max(self.most, self.now)
            end = time.monotonic() + 10
            while self.most < 50 and time.monotonic() < end:
                time.sleep(0.02)
            with self.lock:
                self.now -= 1

        @slow.get("/most")
        async def most_at_once(self):
            return self.most

    run(Slow.bind())
    with ThreadPoolExecutor(50) as pool:
        list(pool.map(lambda _: http.get("/wait"), range(50)))
    assert http.get("/most").json() == 50


def test_ingress_refuses_functions():
    with pytest.raises(ValueError, match="class"):
        serve.ingress(FastAPI())(lambda: 1)


def test_ingress_refuses_a_class_with_call():
    with pytest.raises(ValueError, match="__call__"):

        @serve.ingress(FastAPI())
        class Twice:
            def __call__(self):
                return 1


def test_ingress_without_app_needs_the_method():
    with pytest.raises(ValueError, match="__serve_build_asgi_app__"):

        @serve.ingress()
        class Nothing:
            pass
