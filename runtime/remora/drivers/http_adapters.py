"""Adapters: functions that make a graph's input of an HTTP request, for `DAGDriver.bind(output, http_adapter=…)`.

A program's own adapter is a function whose parameters FastAPI understands. Those that make arrays, images or tables
need NumPy, Pillow or pandas in the image; they are imported when a request comes.
"""

from __future__ import annotations

import io
from typing import Annotated, Any

from fastapi import Body, File, HTTPException
from pydantic import BaseModel
from starlette.requests import Request


class NdArray(BaseModel):
    """An array as JSON."""

    array: list[Any]
    """The items, nested or flat."""
    shape: list[int] | None = None
    """Lengths of the dimensions; those of the nested lists unless given."""
    dtype: str | None = None
    """NumPy's name of the item type, for instance float32."""


async def starlette_request(request: Request) -> Any:
    """Return the request itself, with its body read."""
    return request


async def json_request(payload: Annotated[Any, Body()]) -> Any:
    """Return the JSON in the body."""
    return payload


async def json_to_ndarray(payload: NdArray) -> Any:
    """Return a NumPy array of the body, `{"array": …, "shape": …, "dtype": …}`."""
    return _array(payload)


async def json_to_multi_ndarray(payload: dict[str, NdArray]) -> Any:
    """Return a dict of NumPy arrays of the body, a dict of what `json_to_ndarray` takes."""
    return {name: _array(given) for name, given in payload.items()}


async def image_to_ndarray(img: Annotated[bytes, File()]) -> Any:
    """Return the pixels of an image that was sent as the form's file `img`."""
    import numpy  # type: ignore[import-not-found,unused-ignore]  # the user's image has it, or not
    from PIL import Image  # type: ignore[import-not-found,unused-ignore]  # as above

    return numpy.array(Image.open(io.BytesIO(img)))


async def pandas_read_json(raw_request: Request) -> Any:
    """Return the body as a pandas DataFrame; query parameters are passed to `pandas.read_json`."""
    import pandas  # type: ignore[import-untyped,import-not-found,unused-ignore]  # the user's image has it, or not

    try:
        text = (await raw_request.body()).decode()
        return pandas.read_json(io.StringIO(text), **dict(raw_request.query_params))
    except ValueError as error:
        raise HTTPException(400, f"the request's body is no table in JSON: {error}") from error


def _array(given: NdArray) -> Any:
    import numpy  # type: ignore[import-not-found,unused-ignore]  # the user's image has it, or not

    try:
        made = numpy.array(given.array, dtype=given.dtype)
        return made if given.shape is None else made.reshape(given.shape)
    except (TypeError, ValueError) as error:
        raise HTTPException(400, f"the request's body is no array: {error}") from error
