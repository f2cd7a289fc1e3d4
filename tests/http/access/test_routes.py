"""Every route against every role and none, as it is answered; and the page that says so."""

import re
from collections.abc import Iterator
from typing import Any

import aiohttp

from daemon.config.explain import explained
from daemon.control.networks import Networks
from daemon.control.run_time import RunTime
from daemon.control.settings import RunTimeSettings, StreamDefaults
from daemon.control.wanted import Wanted
from daemon.flow.watched import Watches
from daemon.history.urls import ShotUrls
from daemon.http.access.routes import PROBE
from daemon.http.access.settings import ROLES
from daemon.http.history import Past
from daemon.http.server import PREFIXES, HttpServer
from daemon.http.services.listing import Listing
from daemon.http.streams.events import Events
from daemon.http.streams.pictures import Pictures, Snapshots
from daemon.http.streams.processors import add_processors
from daemon.http.streams.rest import Streams
from daemon.http.streams.video import Video
from daemon.http.web.summary import Summary
from tests.http.access.calls import KEYS, SETTINGS, Headers, bearer, status
from tests.http.conftest import Served
from tests.http.test_connections import gate
from tests.worked import ROOT

PAGE = ROOT / "docs" / "security.md"
NONE = "none"
ASKED: dict[str, Headers] = {role: bearer(key) for role, key in KEYS.items()} | {NONE: {}}
REFUSED = (401, 403)
PROBES = {"/healthz", "/readyz"}


def with_streams(server: HttpServer) -> None:
    """Those of the streams too, of which none are loaded yet."""
    run_time = RunTime(RunTimeSettings(), StreamDefaults(), explained, lambda *_: (), Networks(()))
    none: Any = None
    wanted, watches = Wanted(none, none, None, run_time, 0), Watches()
    Streams(wanted, run_time, none, none).add_to(server.routes)
    add_processors(server.routes)
    Listing({}, {}).add_to(server.routes)
    Summary(wanted, none, none).add_to(server.routes)
    Events(watches, wanted.entry, server.long_answers).add_to(server.routes)
    pictures = Pictures(server.lane)
    Snapshots(watches, wanted.entry, pictures, server.place).add_to(server.routes)
    Video(watches, wanted.entry, pictures, server.long_answers).add_to(server.routes)
    Past(None, ShotUrls("", None), server.place).add_to(server.routes)


def routes_of(server: HttpServer) -> Iterator[tuple[str, str]]:
    """Method and path of all, whoever has added them."""
    for route in server.routes.router.routes():
        assert route.resource is not None
        yield route.method, route.resource.canonical


async def let_in(client: aiohttp.ClientSession, method: str, path: str) -> tuple[str, ...]:
    """The roles that are, and NONE."""
    called = re.sub(r"\{\w+\}", "x", path)
    codes = {role: await status(client, called, headers, method) for role, headers in ASKED.items()}
    assert 500 not in codes.values(), path
    return tuple(role for role, code in codes.items() if code not in REFUSED)


def in_short(method: str, path: str) -> str:
    """All services have the same paths; HEAD is as GET."""
    service, version, kind = r"/[a-z-]+", "|".join(filter(None, PREFIXES)), r"/process/(?:sample|image)"
    path = re.sub(f"^{service}(?:{version})?({kind})$", r"/{service}[/{version}]\1", path)
    return f"{method.replace('HEAD', 'GET')} {path}"


def _path(row: tuple[str, object]) -> str:
    return row[0].partition(" ")[2]


def table(rows: dict[str, tuple[str, ...]]) -> str:
    lines = [["request", *(f"`{role}`" for role in ROLES), "no key"], ["---"] * (len(ROLES) + 2)]
    lines += [
        [f"`{row}`", *("yes" if role in roles else "-" for role in ASKED)]
        for row, roles in sorted(rows.items(), key=_path)
    ]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


async def test_the_page_has_every_path_against_every_role_and_none(serve: Served) -> None:
    """Where it fails, the page gets the table that is expected here."""
    rows: dict[str, tuple[str, ...]] = {}
    async with serve(keys=SETTINGS, chain_of=lambda _: gate(), also=with_streams) as (server, client):
        for method, path in routes_of(server):
            roles = await let_in(client, method, path)
            assert rows.setdefault(in_short(method, path), roles) == roles, path
    assert table(rows) in PAGE.read_text(encoding="utf-8"), f"expected in {PAGE.name}:\n\n{table(rows)}"


async def test_every_route_says_what_it_needs(serve: Served) -> None:
    async with serve(chain_of=lambda _: gate(), also=with_streams) as (server, _):
        assert set(server.routes.router.routes()) == set(server.routes.needs)
        probes = {route.resource for route, need in server.routes.needs.items() if need == PROBE}
        assert {resource.canonical for resource in probes if resource} == PROBES


async def test_without_keys_a_foreign_page_gets_probes_alone(serve: Served) -> None:
    async with serve(chain_of=lambda _: gate(), also=with_streams) as (server, client):
        for method, path in routes_of(server):
            code = await status(client, path, {"Host": "evil.example"}, method)
            assert code == (200 if path in PROBES else 403), path
