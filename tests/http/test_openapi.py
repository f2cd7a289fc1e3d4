"""The OpenAPI: valid, what is served, and true of the specification's examples and of our refusals."""

import json
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from openapi_spec_validator import validate

from daemon.http import errors
from daemon.http.openapi.operation import REFUSALS
from daemon.wire.schemas.documents import documents
from tests.http.access.test_routes import with_streams
from tests.http.conftest import Served
from tests.http.described import UNDESCRIBED, api
from tests.http.test_connections import gate
from tests.wire.test_schemas import FOLDER

NO_ANSWER_OF_OURS = {500, *UNDESCRIBED}
"""A fault of ours is in no contract."""


def test_it_is_openapi() -> None:
    validate(api().document)


@pytest.mark.parametrize("name", ["openapi.json", "asyncapi.json", "schemas/document-2.1.json"])
async def test_what_is_served_is_what_the_docs_have(serve: Served, name: str) -> None:
    async with serve(chain_of=lambda _: gate(), also=with_streams) as (_, client), client.get(f"/{name}") as response:
        served = await response.json()
        kept = json.loads((FOLDER / name.removeprefix("schemas/")).read_text())
        assert served.keys() == kept.keys()
        if name != "openapi.json":  # this server has no estimators
            assert served == kept


async def test_the_names_of_schemas_lead_to_them_and_others_to_nothing(serve: Served) -> None:
    async with serve(chain_of=lambda _: gate()) as (_, client):
        async with client.get("/schemas") as response:
            names = (await response.json())["schemas"]
        assert set(names) == set(documents())
        for name in names:
            async with client.get(f"/schemas/{name}") as response:
                assert (await response.json())["$id"].startswith("urn:visaged:schema:")
        async with client.get("/schemas/nothing.json") as response:
            assert response.status == 404


async def test_every_route_is_described_once(serve: Served) -> None:
    async with serve(chain_of=lambda _: gate(), also=with_streams) as (server, _):
        described = {(one.method, one.path) for one in server.routes.described}
        added = {(route.method, route.resource.canonical) for route in server.routes.router.routes() if route.resource}
        assert described == {(method, path) for method, path in added if method != "HEAD"}
        assert len(described) == len(server.routes.described)


def test_every_error_that_has_a_status_of_its_own_is_described() -> None:
    """By an instance of each: what it says is not looked at."""
    statuses = {errors.refusal(err).status for err in instances()}
    assert statuses - NO_ANSWER_OF_OURS <= REFUSALS.keys()
    assert REFUSALS.keys() <= statuses


def instances() -> Iterator[Exception]:
    web = aiohttp.web
    for kind in errors.REFUSALS:
        if issubclass(kind, web.HTTPMethodNotAllowed):
            yield kind("GET", ["POST"])
        elif kind is web.HTTPException:
            yield web.HTTPNotFound()
        elif issubclass(kind, Exception):
            err = kind.__new__(kind)
            err.__dict__.update(problems=(), challenges=(), retry_after=1, headers={})
            yield err


def examples() -> Iterator[Any]:
    """Method, path, what for, media type's object."""
    for path, operations in api().document["paths"].items():
        for method, operation in operations.items():
            for status, response in operation["responses"].items():
                for content in response.get("content", {}).values():
                    yield pytest.param(content, id=f"{method} {path} {status}")
            for content in operation.get("requestBody", {}).get("content", {}).values():
                yield pytest.param(content, id=f"{method} {path}")


@pytest.mark.parametrize("content", [one for one in examples() if one.values[0].get("examples")])
def test_the_specifications_examples_keep_the_schemas(content: Any) -> None:
    for name in content["examples"]:
        example = api().document["components"]["examples"][name]["value"]
        assert [err.message for err in api().validator(content["schema"]).iter_errors(example)] == []
