"""The whole daemon against requests that schemathesis makes of its OpenAPI, right ones and wrong ones.

python -m pytest tests/http/test_schemathesis.py with VISAGED_TEST_EXAMPLES=100 looks longer.
"""

import asyncio
import base64
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import Case, GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi import checks

from daemon.commands.run import App
from daemon.config.model import Config
from tests.photos import encoded, opened
from tests.waiting import until

Request = Case[Any]
Operation = Any
"""Of schemathesis."""
EXAMPLES = int(os.environ.get("VISAGED_TEST_EXAMPLES", "2"))
"""Of each kind, for each operation."""
ENDLESS = {"multipart/x-mixed-replace", "text/event-stream"}
STREAM = "filed"
PHOTO = encoded(opened("biden").resize((160, 160)), "JPEG")
NOT_LOOKED_AT = [
    checks.positive_data_acceptance,  # a schema can't say that a text is a picture, or that a stream may be changed
    checks.ignored_auth,  # no keys are configured here: tests/http/access
]
REFUSED = ["400", "403", "404", "409", "412", "413", "415", "422"]
"""412 too: a condition that is not kept is told before the body is looked at."""
CONFIG = SchemathesisConfig.from_dict({"checks": {"negative_data_rejection": {"expected-statuses": REFUSED}}})


@contextlib.asynccontextmanager
async def daemon(folder: Path) -> AsyncIterator[str]:
    """Its URL: with all services, and a stream that has looked at a picture."""
    pictures = folder / "pictures"
    pictures.mkdir()
    (pictures / "1.jpg").write_bytes(PHOTO)
    config: Any = {
        "http": {"port": 0, "run_time": {"networks": ["127.0.0.0/8"]}},
        "engine": {"workers": 1},
        "sinks": {"out": {"type": "file", "path": folder / "out.jsonl"}},
        "streams": {STREAM: {"source": str(pictures), "chain": ["face-detector"]}},
        "state_dir": folder / "state",
        "stop_timeout": 10,
    }
    app, stop = App(Config(**config)), asyncio.Event()
    running = asyncio.create_task(app.run(stop))
    try:
        await until(lambda: running.done() or app._loaded, 60)
        assert app.http is not None
        yield app.http.url
    finally:
        stop.set()
        await running


def operations(url: str) -> Iterator[Operation]:
    """Those that come to an end; of services that are the same in two paths, one."""
    for result in schemathesis.openapi.from_url(f"{url}/openapi.json", config=CONFIG).get_all_operations():
        operation: Operation = result.ok()  # type: ignore[union-attr]
        kinds = {kind for one in operation.definition.raw["responses"].values() for kind in one.get("content", ())}
        if not kinds & ENDLESS and not operation.path.endswith(("r/process/sample", "r/process/image")):
            yield operation


def of_what_there_is(case: Request) -> None:
    """A right request is about a picture and a stream that there are."""
    if case.path_parameters and "id" in case.path_parameters:
        case.path_parameters["id"] = STREAM
    text = base64.b64encode(PHOTO).decode()
    pictures: Any = {"$image": text, "_image": {"blob": text, "format": "IMAGE"}}
    if case.media_type == "multipart/form-data":
        pictures = {"image": PHOTO}
    if isinstance(case.body, dict):
        case.body.update({name: pictures[name] for name in pictures.keys() & case.body.keys()})


def statuses(url: str, operation: Operation, session: requests.Session) -> set[int]:
    """Raises schemathesis' failures."""
    found = set()

    def check(case: Request) -> None:
        is_right = case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE
        if is_right:
            of_what_there_is(case)
        response = case.call(base_url=url, session=session, timeout=20)
        found.add(response.status_code)
        case.validate_response(response, excluded_checks=NOT_LOOKED_AT)

    modes = [GenerationMode.POSITIVE]
    if operation.body or operation.query:
        modes.append(GenerationMode.NEGATIVE)
    for mode in modes:
        looked = given(case=operation.as_strategy(generation_mode=mode))(check)
        limits = settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        seed(20)(limits(looked))()
    return found


def fuzz(url: str) -> dict[str, set[int]]:
    with requests.Session() as session:
        return {operation.label: statuses(url, operation, session) for operation in operations(url)}


@pytest.mark.timeout(60 * EXAMPLES)
async def test_no_request_is_answered_otherwise_than_the_api_says(tmp_path: Path) -> None:
    async with daemon(tmp_path) as url:
        found = await asyncio.to_thread(fuzz, url)
    assert len(found) > 40
    answered = {label for label, codes in found.items() if codes & {200, 201, 202, 204}}
    in_vain = {label for label in found if label.startswith("GET ")} - answered
    assert in_vain <= {
        "GET /schemas/{name}",
        "GET /docs/{file}",
        "GET /web/{file}",
        "GET /history",
        "GET /shots/{id}.jpg",
    }
    assert {label for label in found if label.endswith("/process/image")} <= answered
