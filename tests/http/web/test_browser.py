"""The page in a real browser, against a daemon of its own with 12 streams of a simulated camera and keys.

Chromium keeps to the page's policy (it is not bypassed) and has a fake webcam. Every test fails where the console has
an error, or anything is asked for of another host.
"""

import base64
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from daemon.http.access.keys import digest, new_key
from daemon.simulator.clip import Scene, make_clip
from tests.benchmarks.cameras import camera_of
from tests.brokers import free_port
from tests.http.access.calls import KEYS, bearer
from tests.worked import ROOT

CHROMIUM = "/usr/bin/chromium"
OPTIONS = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
AXE = (ROOT / "tests" / "data" / "axe" / "axe.min.js").read_text(encoding="utf-8")
PHOTOS = ROOT / "tests" / "data" / "pictures"
SCENE = Scene(width=640, height=360, fps=5, seconds=0.2)
"""One frame: nobody moves, so that a document of any moment has the places of every picture."""
OTHERS = 11
EVERY = -1
"""Of the streams."""
ALL = new_key()
REFUSAL = re.compile(r"responded with a status of (401|422) ")
"""Chromium writes these into the console, whoever is told of them."""
STARTING_S = 90.0
WAITING_S = 30
"""At most, for what a view shows: a machine may have much else to do."""

CAPTURED_AT = """[...document.querySelectorAll(".tile")].map(tile => [
  tile.querySelector("h2").textContent, tile.querySelector("canvas").dataset.capturedAt,
])"""
MOVED = f"before => {CAPTURED_AT}.filter(([name, at]) => before[name] && before[name] !== at).length >= 4"

Pixels = npt.NDArray[np.int_]


class Served(NamedTuple):
    url: str
    camera: str

    def ask(self, path: str, key: str = ALL, body: bytes | None = None, method: str | None = None) -> Any:
        headers = bearer(key) | {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}{path}", body, headers, method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return None if answer.status == 204 else json.load(answer)

    def waits_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + STARTING_S
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("page")
    clip = folder / "faces.mp4"
    make_clip(clip, SCENE)
    with camera_of(clip) as camera:
        stream = {"source": camera, "chain": ["face-detector"]}
        keys: dict[str, Any] = {role: {"sha256": digest(key), "roles": [role]} for role, key in KEYS.items()}
        keys["watch"]["streams"] = ["door"]
        keys["all"] = {"sha256": digest(ALL), "roles": list(KEYS)}
        port = free_port()
        config = {
            "http": {"port": port, "keys": keys, "run_time": {"networks": ["127.0.0.0/8"]}},
            "streams": {"door": {**stream, "name": "Front door", "fps": 3}}
            | {f"yard-{n}": {**stream, "fps": 1} for n in range(OTHERS)},
            "state_dir": str(folder / "state"),
            "log": {"level": "error"},
        }
        (folder / "visaged.yaml").write_text(json.dumps(config))
        served = Served(f"http://127.0.0.1:{port}", camera)
        with subprocess.Popen([sys.executable, "-m", "daemon", "run", folder / "visaged.yaml"]) as daemon:
            try:
                served.waits_for(lambda: daemon.poll() is None and _is_ready(served))
                yield served
            finally:
                daemon.terminate()


def _is_ready(served: Served) -> bool:
    try:
        return len(served.ask("/overview")["streams"]) == OTHERS + 1
    except (urllib.error.URLError, ConnectionError):
        return False


@pytest.fixture(scope="module")
def browser(served: Served) -> Iterator[Browser]:
    """Behind the daemon: Playwright's loop runs in this thread from here on, where nothing of ours may block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        expect.set_options(timeout=1000 * WAITING_S)
        yield browser
        browser.close()


Opens = Callable[..., Page]


@pytest.fixture
def opens(browser: Browser, served: Served) -> Iterator[Opens]:
    """opens(path, key=..., **context): a tab whose session has begun; without a key none has.

    `beside` another tab it is of the same browser, which has six connections to a host for both.
    """
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def opening(path: str = "", key: str | None = ALL, beside: Page | None = None, **options: Any) -> Page:
        if beside is not None:
            return tab(beside.context, path)
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | options)
        context.set_default_timeout(1000 * WAITING_S)
        contexts.append(context)
        if key is not None:
            assert context.request.post(f"{served.url}/session", data={"key": key}).ok
        return tab(context, path)

    def tab(context: BrowserContext, path: str) -> Page:
        page = context.new_page()
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda asked: wrong.append(asked.url) if not _is_own(asked.url, served.url) else None)
        page.goto(f"{served.url}/{path}")
        return page

    yield opening
    for context in contexts:
        context.close()
    assert [one for one in wrong if not REFUSAL.search(one)] == []


def _is_own(url: str, own: str) -> bool:
    return url.startswith((f"{own}/", f"blob:{own}/"))


def shows_pictures(page: Page, least: int = 1) -> None:
    page.wait_for_function("least => document.querySelectorAll('canvas[data-captured-at]').length >= least", arg=least)


def captured_at(page: Page) -> Mapping[str, str]:
    """Of the pictures that are shown, by stream."""
    tiles: list[tuple[str, str]] = page.evaluate(f"() => ({CAPTURED_AT})")
    return {name: at for name, at in tiles if at}


def pixels_of_the_next(page: Page) -> Pixels:
    """(h, w, 3) BGR of the picture that is shown next."""
    shown = page.locator("canvas.picture").get_attribute("data-captured-at")
    page.wait_for_function("shown => document.querySelector('canvas').dataset.capturedAt !== shown", arg=shown)
    url: str = page.locator("canvas.picture").evaluate("canvas => canvas.toDataURL('image/png')")
    image = cv2.imdecode(np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image.astype(int)


def test_whoever_opens_the_page_signs_in_and_out(opens: Opens, served: Served) -> None:
    page = opens(key=None)
    page.get_by_label("Key").fill("vis_00000000_" + 43 * "x")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("unknown")
    page.get_by_label("Key").fill(ALL)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Streams")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Key")).to_be_visible()


def test_tiles_move_in_two_tabs_each_over_one_connection_and_only_those_in_view(opens: Opens) -> None:
    first = opens()
    second = opens(beside=first)
    open_now: list[str] = []
    first.on("request", lambda asked: open_now.append(asked.url) if "/video?" in asked.url else None)
    first.on("requestfailed", lambda asked: open_now.remove(asked.url) if asked.url in open_now else None)
    expect(first.locator(".tile")).to_have_count(OTHERS + 1)
    for page in (first, second):
        shows_pictures(page, 6)
        page.wait_for_function(MOVED, arg=captured_at(page))
        assert "3 faces" in page.locator(".tile .found").first.inner_text()
    assert len(captured_at(first)) <= OTHERS  # the last rows are not in view
    first.mouse.wheel(0, 4000)
    shows_pictures(first, OTHERS + 1)
    assert len(open_now) == 1


def test_pictures_are_made_for_the_width_in_which_they_are_displayed(opens: Opens) -> None:
    page = opens("#/streams/door")
    shows_pictures(page)
    with page.expect_request(re.compile(r"/video\?")) as asked:
        page.set_viewport_size({"width": 390, "height": 900})
    shown = page.locator("canvas.picture").bounding_box()
    assert shown is not None
    display_width = int(parse_qs(urlsplit(asked.value.url).query)["display_width"][0])
    assert display_width == pytest.approx(shown["width"], abs=20)


def test_drawings_are_where_the_json_says(opens: Opens) -> None:
    page = opens("#/streams/door")
    shows_pictures(page)
    page.get_by_text("The document as it is sent").click()
    document = json.loads(page.locator("pre").inner_text())
    assert len(document["objects"]) == 3
    expect(page.locator(".objects li")).to_have_count(3)
    drawn = pixels_of_the_next(page)
    page.get_by_label("Show what was found").uncheck()
    pixels_of_the_next(page)  # it may have been on its way
    difference = np.abs(drawn - pixels_of_the_next(page)).max(axis=2)
    height, width = difference.shape
    for obj in document["objects"]:
        x1, y1, x2, y2 = (np.array(obj["bbox"]) * (width, height, width, height)).round().astype(int)
        middle_x, middle_y = (x1 + x2) // 2, (y1 + y2) // 2
        sides = [(y1, middle_x), (y2, middle_x), (middle_y, x1), (middle_y, x2)]
        assert min(difference[y - 1 : y + 2, x - 1 : x + 2].max() for y, x in sides) > 30
        assert difference[y1 + 8 : middle_y, x1 + 8 : x2 - 8].max() < 30


def test_a_photo_tried_gives_the_answer_of_the_api_and_of_the_lines_of_code(
    opens: Opens, served: Served, tmp_path: Path
) -> None:
    page = opens("#/try/age-estimator")
    page.get_by_text("Drop a photo here").wait_for()
    page.locator("#photo-0").set_input_files(PHOTOS / "obama.jpg")
    expect(page.locator("img.drawing")).to_be_visible()
    assert page.locator("img.drawing").evaluate("image => image.naturalWidth") > 200
    page.get_by_text("The answer in JSON (v2)").click()
    shown = json.loads(page.locator("details pre").inner_text())["objects"]
    (tmp_path / "photo.jpg").write_bytes((PHOTOS / "obama.jpg").read_bytes())
    page.get_by_role("button", name="Python").click()
    lines = page.locator("pre[data-language=Python]").inner_text().replace("vis_...", ALL)
    python = subprocess.run([sys.executable, "-c", lines], cwd=tmp_path, capture_output=True, text=True, check=True)
    page.get_by_role("button", name="curl").click()
    lines = page.locator("pre[data-language=curl]").inner_text()
    curl = subprocess.run(
        ["bash", "-c", lines], cwd=tmp_path, env={**os.environ, "KEY": ALL}, capture_output=True, check=True
    )
    answers = [shown, eval(python.stdout, {}), json.loads(curl.stdout)["objects"]]  # noqa: S307  # what Python prints
    assert [[one["age"] for one in answer] for answer in answers] == [[shown[0]["age"]]] * 3
    assert len(shown) == 1


def test_two_photos_are_compared_and_the_webcam_takes_one(opens: Opens) -> None:
    page = opens("#/try/verify-matcher")
    for place, photo in enumerate(("obama.jpg", "obama2.jpg")):
        page.locator(f"#photo-{place}").set_input_files(PHOTOS / photo)
    expect(page.locator(".verdict")).to_contain_text("One person")
    expect(page.locator("img.drawing")).to_have_count(2)
    page.locator("#photo-1").set_input_files(PHOTOS / "biden.jpg")
    expect(page.locator(".verdict")).to_contain_text("Two persons")
    page.get_by_role("button", name="Use the webcam").first.click()
    page.wait_for_function("() => document.querySelector('dialog video')?.videoWidth > 0")
    page.get_by_role("button", name="Take the photo").click()
    expect(page.get_by_role("alert")).to_contain_text("none was found")  # Chromium's webcam shows a test picture


def test_quality_is_shown_against_its_thresholds(opens: Opens) -> None:
    page = opens("#/try/quality-assessment-estimator")
    page.get_by_role("radio", name="v1").check()
    page.locator("#photo-0").set_input_files(PHOTOS / "obama.jpg")
    bar = page.get_by_role("img", name=re.compile(r"Calm face: 0\.\d\d, at least 0\.35, not acceptable"))
    expect(bar).to_be_visible()
    expect(page.get_by_role("img", name=re.compile(r"Sharpness: .*, at least 0\.5, acceptable"))).to_be_visible()


def test_a_stream_is_checked_added_paused_changed_and_removed(opens: Opens, served: Served) -> None:
    page = opens("#/add")
    page.get_by_label("Id", exact=True).fill("gate")
    expect(page.get_by_label("Id", exact=True)).to_have_attribute("title", "Letters, digits, . _ -; no spaces")
    page.get_by_label("Address").fill("rtsp://127.0.0.1:9/nobody")
    page.get_by_role("button", name="Check the address").click()
    expect(page.get_by_role("alert")).to_contain_text("127.0.0.1")
    page.get_by_label("Address").fill("ftp://127.0.0.1/faces")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("alert").first).to_contain_text("ftp")
    expect(page.locator(".notice.bad")).to_have_count(1)  # the check's has gone
    page.get_by_label("Address").fill(served.camera)
    page.get_by_label("Frames a second").fill("2")
    page.get_by_label("face-fitter").uncheck()
    page.get_by_role("button", name="Check the address").click()
    expect(page.get_by_role("status")).to_contain_text(re.compile("h264 640 . 360"))
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator(".state")).to_have_text("running")
    assert served.ask("/streams/gate")["settings"] == {"source": served.camera, "fps": 2, "chain": ["face-detector"]}
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".state")).to_have_text("paused")
    page.get_by_role("button", name="Resume").click()
    page.locator(".controls").get_by_role("link", name="Settings").click()
    page.get_by_label("Name", exact=True).fill("Gate")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Gate")).to_be_visible()
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("button", name="Remove it").click()
    expect(page.get_by_role("heading", name="Streams")).to_be_visible()
    assert "gate" not in [row["id"] for row in served.ask("/streams")["streams"]]


def test_tracks_are_listed_with_events_and_without_and_else_it_is_said_why_not(opens: Opens, served: Served) -> None:
    page = opens("#/add")
    page.get_by_label("Id", exact=True).fill("hall")
    page.get_by_label("Address").fill(served.camera)
    page.get_by_label("Frames a second").fill("2")
    page.get_by_label("face-fitter").uncheck()
    page.get_by_label("Follow faces and bodies").check()
    expect(page.get_by_label("Tell when they come and go")).to_be_checked()
    page.get_by_role("button", name="Add", exact=True).click()
    tracks, events = (page.get_by_role("region", name=name) for name in ("Tracks", "Events"))
    expect(events.get_by_text("appeared")).to_have_count(3)
    assert served.ask("/streams/hall")["settings"]["tracking"] == {"events": {}}
    for _ in range(10):
        page.reload()  # all has been told before, but of a better shot there is one more event
        expect(tracks.get_by_role("listitem")).to_have_count(3)
        if tracks.get_by_text("in view").count() == 3:
            break
    expect(tracks.get_by_text("in view")).to_have_count(3)
    expect(events).to_contain_text("None yet.")
    page.get_by_role("navigation").get_by_role("link", name="Streams").click()
    tile = page.locator(".tile", has=page.get_by_role("heading", name="hall"))
    expect(tile.locator(".found")).to_have_text("3 faces")
    served.ask("/streams/hall/pause", method="POST")
    expect(tile.locator(".found")).to_have_text(re.compile(r"^last picture \d\d:\d\d:\d\d$"))
    expect(tile.locator(".picture.old")).to_be_visible()
    expect(page.locator(".headline")).to_contain_text("; 1 paused")
    served.ask("/streams/hall/resume", method="POST")
    tile.get_by_role("link").click()
    page.locator(".controls").get_by_role("link", name="Settings").click()
    page.get_by_label("Tell when they come and go").uncheck()
    page.get_by_role("button", name="Save").click()
    expect(events).to_contain_text("No events are made. Turn on “Tell when they come and go” in Settings.")
    expect(tracks.get_by_text("in view")).to_have_count(3)
    events.get_by_role("link", name="Settings").click()
    page.get_by_label("Follow faces and bodies").uncheck()
    page.get_by_role("button", name="Save").click()
    expect(tracks).to_contain_text("Not followed. Turn on “Follow faces and bodies” in Settings.")
    assert "tracking" not in served.ask("/streams/hall")["settings"]
    page.close()  # it asks for the stream, until it hears that there is none
    served.ask("/streams/hall", method="DELETE")


def test_a_stream_of_the_file_is_shown_and_cannot_be_changed(opens: Opens) -> None:
    page = opens("#/streams/door/settings")
    expect(page.get_by_text("This stream is in the configuration file")).to_be_visible()
    expect(page.get_by_label("Address")).to_be_disabled()
    expect(page.get_by_role("button", name="Save")).to_have_count(0)


def test_a_zone_is_drawn_with_the_mouse_and_with_the_keyboard_and_counts(opens: Opens, served: Served) -> None:
    body = json.dumps({"source": served.camera, "fps": 2, "chain": ["face-detector"], "tracking": {}}).encode()
    served.ask("/streams/shop", body=body, method="PUT")
    page = opens("#/streams/shop/places")
    shows_pictures(page)
    page.get_by_role("button", name="Zone", exact=True).click()
    corner = page.get_by_role("button", name=re.compile("^Corner 1 of zone 1"))
    area, handle = page.locator(".drawn").bounding_box(), corner.bounding_box()
    assert area is not None
    assert handle is not None
    page.mouse.move(handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2)
    page.mouse.down()
    page.mouse.move(area["x"] + 0.1 * area["width"], area["y"] + 0.2 * area["height"], steps=4)
    page.mouse.up()
    last = page.get_by_role("button", name=re.compile("^Corner 4 of zone 1"))
    last.focus()
    for _ in range(3):
        page.keyboard.press("Shift+ArrowDown")
    for _ in range(20):
        page.keyboard.press("ArrowLeft")
    page.get_by_label("Name").fill("till")
    page.get_by_role("button", name="Line", exact=True).click()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_have_text("Saved. It holds from the next picture of shop on.")
    settings = served.ask("/streams/shop")["settings"]
    (zone,) = settings["zones"]
    assert zone["name"] == "till"
    assert zone["polygon"][0] == pytest.approx([0.1, 0.2], abs=0.01)
    assert zone["polygon"][3] == pytest.approx([0.15, 0.8], abs=0.001)
    page.get_by_role("button", name="Undo all").click()
    expect(page.get_by_role("status")).to_have_count(0)
    page.get_by_role("link", name="shop").click()
    counts = page.get_by_role("region", name="Zones and lines")
    expect(counts).to_contain_text("till1 face")  # of the three, who stands to the left
    expect(counts).to_contain_text("line 1in 0, out 0")
    assert settings["lines"] == [{"name": "line 1", "directions": ["in", "out"], "points": [[0.3, 0.6], [0.7, 0.6]]}]


class Sees(NamedTuple):
    pages: list[str]
    has_pictures: bool = False
    has_figures: bool = False
    may_change: bool = False


@pytest.mark.parametrize(
    ("key", "streams", "sees"),
    [
        (KEYS["watch"], 1, Sees(["Streams"], has_pictures=True)),
        (KEYS["metrics"], EVERY, Sees(["Streams"], has_figures=True)),
        (KEYS["query"], 0, Sees(["Streams", "Try"])),
        (KEYS["templates"], 0, Sees(["Streams"])),
        (KEYS["control"], EVERY, Sees(["Streams"], has_figures=True, may_change=True)),
    ],
    ids=["watch", "metrics", "query", "templates", "control"],
)
def test_a_key_sees_what_it_may(opens: Opens, served: Served, key: str, streams: int, sees: Sees) -> None:
    page = opens(key=key)
    expect(page.get_by_role("heading", name="Streams")).to_be_visible()
    expect(page.get_by_role("navigation").get_by_role("link")).to_have_text(sees.pages)
    expect(page.locator(".tile")).to_have_count(len(served.ask("/streams")["streams"]) if streams == EVERY else streams)
    expect(page.get_by_text("This key is not for streams")).to_have_count(int(not streams))
    assert (page.locator("canvas").count() > 0) == sees.has_pictures
    expect(page.get_by_role("link", name="Add a stream")).to_have_count(int(sees.may_change))
    if streams:
        page.goto(page.url.split("#")[0] + "#/streams/door")
        expect(page.get_by_role("heading", name="Front door")).to_be_visible()
        expect(page.get_by_role("button", name="Restart")).to_have_count(int(sees.may_change))
        expect(page.get_by_role("heading", name="How it does")).to_have_count(int(sees.has_figures))
        expect(page.get_by_role("heading", name="Events")).to_have_count(int(sees.has_pictures))


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1440, "light")])
def test_every_view_is_sound_for_all(opens: Opens, width: int, scheme: str) -> None:
    """No serious finding of axe, nothing wider than the window, and a heading that has the focus."""
    page = opens(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.evaluate(AXE)
    for view in ("", "#/streams/door", "#/streams/door/places", "#/streams/door/settings", "#/add", "#/try"):
        page.evaluate("view => { location.hash = view || '#/'; }", view)
        page.locator("h1").wait_for()
        page.wait_for_timeout(250)
        found = page.evaluate("axe.run({ resultTypes: ['violations'] })")["violations"]
        grave = [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")]
        assert grave == [], view
        assert page.evaluate("document.documentElement.scrollWidth") <= width, view
        assert not view or page.evaluate("document.activeElement.tagName") == "H1", view
