from pathlib import Path

import cv2
import pytest

from daemon.sources import SOURCES, make_source
from daemon.sources.settings import SourceSettings
from daemon.sources.url import redacted, scheme_of
from tests.fakes import CollectingFeed
from tests.sources.videos import make_video, numbers, picture


@pytest.mark.parametrize(
    ("url", "scheme"),
    [
        ("rtsp://door/1", "rtsp"),
        ("RTSP://door/1", "rtsp"),
        ("https://door/a.m3u8", "https"),
        ("/videos/a.mp4", ""),
        ("videos/a b.mp4", ""),
        ("C:/videos/a.mp4", ""),
        ("ftp://door/a.mp4", "ftp"),
    ],
)
def test_scheme(url: str, scheme: str) -> None:
    assert scheme_of(url) == scheme


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://door:554/1", "rtsp://door:554/1"),
        ("rtsp://user:hunter2@door:554/1", "rtsp://***@door:554/1"),
        ("rtsp://user@door/1", "rtsp://***@door/1"),
        ("rtsp://user:hunter2@with@at@door/1", "rtsp://***@door/1"),
        ("http://door/1?user=a&password=hunter2", "http://door/1?***"),
        ("http://user:hunter2@door/1?token=hunter2#hunter2", "http://***@door/1?***"),
        ("rtsp://user:hunter2@[::1]:554/1", "rtsp://***@[::1]:554/1"),
        ("/videos/a@b?c.mp4", "/videos/a@b?c.mp4"),
    ],
)
def test_redacted(url: str, shown: str) -> None:
    assert redacted(url) == shown


def test_the_schemes_that_there_are() -> None:
    assert set(SOURCES) == {"rtsp", "rtsps", "http", "https", ""}


@pytest.mark.parametrize("kind", ["folder", "picture", "video"])
async def test_a_path_is_what_lies_there(tmp_path: Path, kind: str) -> None:
    assert cv2.imwrite(str(tmp_path / "a.png"), picture(1))
    video = make_video(tmp_path / "b.mp4", 3)
    paths = {"folder": (tmp_path, [1]), "picture": (tmp_path / "a.png", [1]), "video": (video, [0, 1, 2])}
    path, expected = paths[kind]
    feed = CollectingFeed()
    await make_source(SourceSettings(source=str(path)), "test").run(feed)
    assert numbers(feed.put_frames) == expected
