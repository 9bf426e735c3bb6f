"""A program with tracing on, for test_tracing.py: answers requests, and its spans are lines of a file.

An instance of its own in a process of its own, as tracing is chosen when Serve starts. The exporter is imported by name
in the proxy and in the replicas.
"""

import json
import os
import sys
from pathlib import Path

import conftest  # noqa: F401 - makes `ray.serve` what this side is about
import httpx
import ray
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from ray import serve
from starlette.requests import Request
from starlette.responses import StreamingResponse


class ToFile(SpanExporter):
    def export(self, spans):
        with Path(os.environ["SPANS_FILE"]).open("a") as file:
            for span in spans:
                file.write(span.to_json(indent=None) + "\n")
        return SpanExportResult.SUCCESS


def exporter():
    return [SimpleSpanProcessor(ToFile())]


@serve.deployment
class Leaf:
    def __call__(self, word):
        if word == "bad":
            raise ValueError("no such word")
        with trace.get_tracer("mine").start_as_current_span("in a thread"):
            return word.upper()

    @serve.batch(max_batch_size=1)
    async def batched(self, words):
        with trace.get_tracer("mine").start_as_current_span("in a batch"):
            return [word.title() for word in words]

    def each(self, word):
        yield from word


@serve.deployment
class Ingress:
    def __init__(self, leaf):
        self.leaf = leaf

    async def __call__(self, request: Request):
        word = request.query_params["word"]
        if word == "stream":
            return StreamingResponse(self.stream())
        if word == "batch":
            return await self.leaf.batched.remote(word)
        with trace.get_tracer("mine").start_as_current_span("of the ingress", context=serve.get_trace_context()):
            return await self.leaf.remote(word)

    async def stream(self):
        async for item in self.leaf.options(stream=True).each.remote("ab"):
            yield item


def main(port):
    # A Ray of its own: that of the other cases was started without tracing.
    ray.init("local", num_cpus=8, include_dashboard=False, log_to_driver=False)
    # Tracing is on by the environment: of `tracing_config` Ray Serve 2.60 tells its replicas, and not its proxies.
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(Ingress.bind(Leaf.bind()), name="traced", route_prefix="/traced")
    answers = []
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        for number, word in enumerate(("hi", "bad", "stream", "batch"), 1):
            headers = {"traceparent": f"00-{number:032x}-{number:016x}-01", "x-request-id": f"r-{number}"}
            answer = client.get("/traced/words", params={"word": word}, headers=headers)
            answers.append([answer.status_code, answer.text])
        client.get(
            "/traced/words", params={"word": "no"}, headers={"traceparent": f"00-{99:032x}-{99:016x}-00"}
        ).raise_for_status()
    print(json.dumps(answers), flush=True)
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]))
