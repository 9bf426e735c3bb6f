"""What a handler sees of an HTTP request, and which requests reach which application."""

import json

import pytest
from ray import serve
from starlette.requests import Request


@serve.deployment(max_ongoing_requests=20)
class See:
    async def __call__(self, request: Request):
        match request.url.path.rpartition("/")[2]:
            case "query":
                return {"all": request.query_params.multi_items(), "a": request.query_params.get("a")}
            case "headers":
                return {"x-mine": request.headers["x-mine"], "host": request.headers["host"]}
            case "json":
                return {"json": await request.json()}
            case "body":
                return {"size": len(await request.body())}
            case "stream":
                sizes = [len(chunk) async for chunk in request.stream()]
                return {"size": sum(sizes), "chunks": len(sizes) > 1}
            case "form":
                form = await request.form()
                return {
                    name: value if isinstance(value, str) else (await value.read()).decode()
                    for name, value in form.items()
                }
            case "cookies":
                return request.cookies
            case "client":
                return {"host": request.client.host, "scheme": request.url.scheme}
            case _:
                return {
                    "method": request.method,
                    "path": request.url.path,
                    "root": request.scope.get("root_path", ""),
                    "scope path": request.scope["path"],
                }


@serve.deployment
class Sync:
    def __call__(self, request: Request):
        return {"method": request.method, "q": request.query_params.get("q")}


@serve.deployment
def function(request: Request):
    return "from a function"


@serve.deployment
async def async_function(request: Request):
    return "from an async function " + (await request.body()).decode()


@serve.deployment
class NoArguments:
    def __call__(self):
        return "no arguments"


@serve.deployment
class Named:
    def __init__(self, name):
        self.name = name

    def __call__(self, request):
        return self.name


@pytest.fixture(scope="module")
def see(share):
    return share(See.bind(), "see")


def test_query_parameters(see, http):
    answer = http.get("/see/query?a=1&b=x%20y&a=2").json()
    assert answer == {"all": [["a", "1"], ["b", "x y"], ["a", "2"]], "a": "2"}


def test_headers(see, http):
    answer = http.get("/see/headers", headers={"X-Mine": "yes"}).json()
    assert answer["x-mine"] == "yes"
    assert answer["host"].startswith("127.0.0.1:")


def test_a_json_body(see, http):
    body = {"a": [1, {"b": None}], "ü": "ß"}
    assert http.post("/see/json", json=body).json() == {"json": body}


def test_a_body_of_bytes(see, http):
    assert http.post("/see/body", content=b"\x00" * 5_000_000).json() == {"size": 5_000_000}


def test_a_streamed_body(see, http):
    def chunks():
        for _ in range(50):
            yield b"x" * 100_000

    answer = http.post("/see/stream", content=chunks()).json()
    assert answer["size"] == 5_000_000


def test_a_form_with_a_file(see, http):
    answer = http.post("/see/form", data={"word": "hi"}, files={"file": ("f.txt", b"inside")})
    assert answer.json() == {"word": "hi", "file": "inside"}


def test_a_urlencoded_form(see, http):
    assert http.post("/see/form", data={"word": "hi there"}).json() == {"word": "hi there"}


def test_cookies(see, http):
    assert http.get("/see/cookies", headers={"cookie": "a=1; b=2"}).json() == {"a": "1", "b": "2"}


def test_client_and_scheme(see, http):
    assert http.get("/see/client").json() == {"host": "127.0.0.1", "scheme": "http"}


def test_every_method_reaches_the_handler(see, http):
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        assert http.request(method, "/see/any").json()["method"] == method
    assert http.head("/see/any").status_code == 200


def test_path_and_root_path_under_a_prefix(see, http):
    answer = http.get("/see/deep/er").json()
    assert answer["path"] == "/see/deep/er"
    assert answer["root"] == "/see"


def test_a_path_is_percent_decoded(see, http):
    assert http.get("/see/gr%C3%BCn").json()["scope path"].endswith("/grün")


def test_the_prefix_with_and_without_slash(see, http):
    assert http.get("/see").status_code == 200
    assert http.get("/see/").status_code == 200


def test_a_prefix_ends_at_a_slash(see, http):
    assert http.get("/seesaw").status_code == 404


def test_a_large_header(see, http):
    assert http.get("/see/headers", headers={"X-Mine": "y" * 8000}).json()["x-mine"] == "y" * 8000


def test_a_plain_handler(run, http):
    run(Sync.bind())
    assert http.post("/?q=1").json() == {"method": "POST", "q": "1"}


def test_functions_plain_and_async(run, http):
    run(function.bind(), name="plain", route_prefix="/plain")
    run(async_function.bind(), name="async", route_prefix="/async")
    assert http.get("/plain").text == "from a function"
    assert http.post("/async", content=b"xyz").text == "from an async function xyz"


def test_a_handler_without_arguments(run, http):
    run(NoArguments.bind())
    assert http.get("/").text == "no arguments"


def test_the_longest_prefix_wins(run, http):
    run(Named.bind("root"), name="root", route_prefix="/")
    run(Named.bind("a"), name="a", route_prefix="/a")
    run(Named.bind("ab"), name="ab", route_prefix="/a/b")
    found = [http.get(path).text for path in ("/", "/x", "/a", "/a/x", "/a/b", "/a/b/c", "/ab", "/b")]
    assert found == ["root", "root", "a", "a", "ab", "ab", "root", "root"]


def test_a_path_of_no_application_is_a_404(see, http):
    assert http.get("/nobody/here").status_code == 404


def test_a_deleted_application_is_a_404(run, http):
    run(Named.bind("gone"), name="gone", route_prefix="/gone")
    assert http.get("/gone").text == "gone"
    serve.delete("gone")
    assert http.get("/gone").status_code == 404


def test_an_application_without_route_is_reached_by_handle_only(run, http):
    handle = run(Named.bind("hidden"), name="hidden", route_prefix=None)
    assert handle.remote(None).result() == "hidden"
    assert http.get("/hidden").status_code == 404


def test_an_application_moves_to_another_prefix(run, http):
    run(Named.bind("moving"), name="moving", route_prefix="/before")
    run(Named.bind("moving"), name="moving", route_prefix="/after")
    assert http.get("/after").text == "moving"
    assert http.get("/before").status_code == 404


def test_healthz_is_success(see, http):
    answer = http.get("/-/healthz")
    assert (answer.status_code, answer.text) == (200, "success")


def test_routes_lists_prefixes_and_applications(see, http):
    answer = http.get("/-/routes")
    assert answer.headers["content-type"].startswith("application/json")
    assert json.loads(answer.text)["/see"] == "see"


def test_keep_alive_connections_are_reused(see, http):
    for _ in range(3):
        assert http.get("/see/any").status_code == 200


def test_malformed_http_harms_nobody(see, http, instance):
    import socket

    host, _, port = instance.partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall(b"this is no http\r\n\r\n")
        assert b"400" in raw.recv(1000)
    assert http.get("/see/any").status_code == 200
