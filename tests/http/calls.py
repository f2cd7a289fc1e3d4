"""Requests as clients send them."""

import base64
import io
import json
from typing import Any

import aiohttp

from tests.http.described import api_of

SERVICE = "face-detector-face-fitter"


def document(version: str, data: bytes) -> dict[str, Any]:
    """A sample with this picture alone."""
    text = base64.b64encode(data).decode()
    return {"$image": text} if version == "v1" else {"_image": {"blob": text, "format": "IMAGE"}}


async def send(
    client: aiohttp.ClientSession,
    path: str,
    body: bytes,
    content_type: str = "application/json",
    encoding: str = "identity",
) -> tuple[int, Any]:
    """The status and the JSON of the answer."""
    # A file: aiohttp warns of large bodies as bytes.
    headers = {"Content-Type": content_type, "Content-Encoding": encoding}
    async with client.post(path, data=io.BytesIO(body), headers=headers) as response:
        assert response.content_type == "application/json"
        answer = await response.json()
    (await api_of(client, path)).expect_described("POST", response.url.raw_path, response.status, answer)
    return response.status, answer


async def post(client: aiohttp.ClientSession, path: str, body: Any) -> Any:
    """The answer to a JSON document."""
    status, answer = await send(client, path, json.dumps(body).encode())
    assert status == 200, answer
    return answer


async def upload(client: aiohttp.ClientSession, path: str, data: bytes) -> Any:
    """The answer to a file in a form."""
    fields = aiohttp.FormData()
    fields.add_field("image", io.BytesIO(data), filename="photo")
    async with client.post(path, data=fields) as response:
        assert response.status == 200, await response.text()
        return await response.json()
