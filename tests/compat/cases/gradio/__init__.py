"""Stands for Gradio, which is too much for a test: an app is one function, and its page is what it returns."""

from gradio import routes as routes


def mount_gradio_app(app, blocks, path):
    return routes.App.create_app(blocks)


class Blocks:
    def __init__(self, fn):
        self.fn = fn


class Interface(Blocks):
    pass
