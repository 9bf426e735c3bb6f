"""Gradio apps as deployments; with a stand-in for Gradio itself (the folder `gradio` beside this file)."""

import asyncio

import gradio
from ray import serve
from ray.serve.gradio_integrations import GradioIngress, GradioServer


def build():
    return gradio.Interface(lambda text: text.title())


def test_a_server_has_the_app_that_its_builder_makes(run, http):
    run(GradioServer.bind(build), name="server", route_prefix="/server")
    assert http.get("/server/", params={"text": "hello you"}).json() == {"text": "Hello You", "started": 1}


def test_an_ingress_may_be_subclassed_and_call_other_deployments(run, http):
    @serve.deployment
    class Upper:
        def __call__(self, text):
            return text.upper()

    @serve.deployment
    class Both(GradioIngress):
        def __init__(self, *models):
            self.models = models
            super().__init__(lambda: gradio.Interface(self.ask))

        async def ask(self, text):
            return await asyncio.gather(*(model.remote(text) for model in self.models))

    app = Both.options(ray_actor_options={"num_cpus": 0.1}).bind(Upper.bind(), Upper.options(name="Other").bind())
    run(app, name="both", route_prefix="/both")
    assert http.get("/both/", params={"text": "a"}).json()["text"] == ["A", "A"]
