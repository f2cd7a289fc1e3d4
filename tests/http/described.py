"""Whether an answer is as the API says."""

import functools
import json
import re
from typing import Any

import aiohttp
import jsonschema_rs

from tests.worked import ROOT

UNDESCRIBED = {405, 417}
"""Of any path: a method that it has not, and an Expect that nobody keeps."""
OF_MODULE = "/face-detector-liveness-estimator/"
"""What this service answers depends on the configuration."""


class Api:
    """An OpenAPI document."""

    def __init__(self, document: Any) -> None:
        self.document = document
        self._validators: dict[tuple[str, int], jsonschema_rs.Draft202012Validator] = {}

    def expect_described(self, method: str, path: str, status: int, answer: Any) -> None:
        """The status and the JSON of an answer, of a path that there is."""
        operation = self._operation(method, path)
        if operation is None or status in UNDESCRIBED:
            return
        assert str(status) in operation["responses"], f"{method} {path}: the status {status} is not described"
        errors = self._validator(operation, status).iter_errors(answer)
        mistakes = [f"{'/'.join(map(str, err.instance_path))}: {err.message}" for err in errors]
        assert mistakes == [], f"{method} {path}: {status}"

    def validator(self, schema: Any) -> jsonschema_rs.Draft202012Validator:
        return jsonschema_rs.Draft202012Validator({**schema, "components": self.document["components"]})

    def _validator(self, operation: Any, status: int) -> jsonschema_rs.Draft202012Validator:
        key = (operation["operationId"], status)
        if key not in self._validators:
            response = operation["responses"][str(status)]
            if "$ref" in response:
                response = self.document["components"]["responses"][str(status)]
            self._validators[key] = self.validator(response["content"]["application/json"]["schema"])
        return self._validators[key]

    def _operation(self, method: str, path: str) -> Any:
        for template, operations in self.document["paths"].items():
            pattern = re.sub(r"\{\w+\}", "[^/]+", template)
            if re.fullmatch(pattern, path) and method.lower() in operations:
                return operations[method.lower()]
        return None


@functools.cache
def api() -> Api:
    """Of a daemon with HTTP and nothing else configured; tests/commands/test_published.py sees that it is current."""
    return Api(json.loads((ROOT / "docs" / "schemas" / "openapi.json").read_text()))


async def api_of(client: aiohttp.ClientSession, path: str) -> Api:
    if OF_MODULE not in path:
        return api()
    async with client.get("/openapi.json") as response:
        return Api(await response.json())
