"""The ASGI application of an app, as Gradio has it."""

import inspect
from contextlib import asynccontextmanager

from fastapi import FastAPI


class App(FastAPI):
    @staticmethod
    def create_app(blocks):
        started = []

        @asynccontextmanager
        async def lifespan(_):
            started.append(1)
            yield

        app = App(lifespan=lifespan)

        @app.get("/")
        async def page(text: str):
            found = blocks.fn(text)
            return {"text": await found if inspect.isawaitable(found) else found, "started": len(started)}

        return app
