"""Makes the pictures of the page in docs/pictures: python -m tests.benchmarks.screenshots

They show simulated cameras (public-domain portraits, NOTICE) by a daemon of its own, in Chromium. Look at them before
they are committed: a picture that was made while the machine was busy shows streams that starve.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Page, sync_playwright

from daemon.simulator.clip import PEOPLE, Scene, make_clip
from tests.benchmarks.cameras import camera_of
from tests.brokers import free_port
from tests.worked import ROOT

CHROMIUM = "/usr/bin/chromium"
FOLDER = ROOT / "docs" / "pictures"
PHOTOS = ROOT / "tests" / "data" / "pictures"
STARTING_S = 90.0
QUALITY = 88
FOUND = ["face-detector", "face-fitter", "gender-estimator", "age-estimator", "emotion-estimator"]
NAMES = ("Entrance hall", "Reception", "Corridor", "Meeting room", "Loading bay", "Archive")
PEOPLE_OF = (PEOPLE, PEOPLE[:2], PEOPLE[2:], PEOPLE[1:], PEOPLE[::2], PEOPLE[1:2])
ZONE = {"name": "waiting area", "polygon": [[0.05, 0.1], [0.48, 0.1], [0.48, 0.86], [0.02, 0.86]]}
LINE = {"name": "door", "points": [[0.56, 0.12], [0.56, 0.86]], "directions": ["in", "out"]}


class View(NamedTuple):
    name: str
    path: str
    width: int
    scheme: str
    seconds: float
    """Until it is taken: for charts and events."""
    photos: tuple[str, ...] = ()
    whole: bool = False
    """All of the page, else what a window shows."""


VIEWS = (
    View("streams", "", 1440, "light", 6),
    View("stream", "#/streams/entrance", 1440, "light", 35, whole=True),
    View("stream-on-a-phone", "#/streams/entrance", 390, "dark", 12),
    View("streams-in-the-dark", "", 1440, "dark", 6),
    View("zones", "#/streams/entrance/places", 1440, "light", 5),
    View("try-quality", "#/try/quality-assessment-estimator", 1440, "light", 1, ("obama.jpg",), whole=True),
    View("try-two-photos", "#/try/verify-matcher", 1440, "dark", 1, ("obama.jpg", "obama2.jpg")),
)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    with ExitStack() as stack:
        streams: dict[str, Any] = {}
        for name, people in zip(NAMES, PEOPLE_OF, strict=True):
            clip = folder / f"{name.split()[0].lower()}.mp4"
            make_clip(clip, Scene(people=people, fps=10, seconds=20))
            camera = stack.enter_context(camera_of(clip))
            streams[clip.stem] = {"source": camera, "name": name, "chain": FOUND[:2], "fps": 0.7}
        streams["entrance"] |= {"chain": FOUND, "fps": 1.5, "zones": [ZONE], "lines": [LINE]}
        streams["entrance"]["tracking"] = {"events": {"image": True}}
        port = free_port()
        config = {
            "http": {"port": port, "run_time": {"networks": ["127.0.0.0/8"]}},
            "streams": {},
            "state_dir": str(folder / "state"),
            "history": {"days": 1, "bytes": 100_000_000},
            "log": {"level": "error"},
        }
        path, url = folder / "visaged.yaml", f"http://127.0.0.1:{port}"
        path.write_text(json.dumps(config))
        with subprocess.Popen([sys.executable, "-m", "daemon", "run", path]) as daemon:
            try:
                for stream, settings in streams.items():
                    until_answered("PUT", f"{url}/streams/{stream}", settings)
                time.sleep(12)  # tracks are known by then
                yield url
            finally:
                daemon.terminate()


def until_answered(method: str, url: str, body: object) -> None:
    deadline = time.monotonic() + STARTING_S
    while True:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(url, json.dumps(body).encode(), headers, method=method)
        try:
            urllib.request.urlopen(request, timeout=30).close()
            return
        except urllib.error.HTTPError as err:
            if err.code != 503:
                raise RuntimeError(err.read().decode()) from err
        except (urllib.error.URLError, ConnectionError):
            pass
        assert time.monotonic() < deadline
        time.sleep(0.3)


def take(page: Page, url: str, view: View) -> Path:
    page.goto(f"{url}/{view.path}")
    page.locator("h1").wait_for()
    for place, photo in enumerate(view.photos):
        page.locator(f"#photo-{place}").set_input_files(PHOTOS / photo)
    if view.photos:
        page.locator("img.drawing").first.wait_for(timeout=60_000)
    page.wait_for_timeout(view.seconds * 1000)
    path = FOLDER / f"{view.name}.jpg"
    page.screenshot(path=path, full_page=view.whole, type="jpeg", quality=QUALITY)
    return path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="of pictures; all without them")
    wanted = parser.parse_args().names
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, served(Path(name)) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for view in VIEWS:
            if wanted and view.name not in wanted:
                continue
            page = browser.new_page(viewport={"width": view.width, "height": 900}, color_scheme=view.scheme)  # type: ignore[arg-type]
            path = take(page, url, view)
            print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} KB")
            page.close()
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
