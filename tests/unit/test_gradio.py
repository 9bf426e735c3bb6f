"""A Gradio app where there is no Gradio."""

from __future__ import annotations

import importlib.util

import pytest

from remora.compat.gradio_integrations import GradioIngress
from remora.errors import MissingPackage


@pytest.mark.skipif(importlib.util.find_spec("gradio") is not None, reason="Gradio is installed here")
def test_a_missing_gradio_is_an_error_that_says_what_to_install() -> None:
    with pytest.raises(MissingPackage, match="pip install 'gradio'"):
        GradioIngress(lambda: None)
