"""Sources by URL scheme; a path without one is a video, or a folder of pictures."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from daemon.sources.base import InThread, Source
from daemon.sources.folder import PicturesReader, is_picture, pictures_in
from daemon.sources.settings import SourceSettings
from daemon.sources.url import scheme_of
from daemon.sources.video import VideoReader


def _video(settings: SourceSettings, name: str) -> Source:
    return InThread(VideoReader(settings), name)


def _path(settings: SourceSettings, name: str) -> Source:
    path = Path(settings.source)
    if path.is_dir():
        return InThread(PicturesReader(partial(pictures_in, path)), name)
    if is_picture(path):
        return InThread(PicturesReader(lambda: [path]), name)
    return _video(settings, name)


SOURCES: dict[str, Callable[[SourceSettings, str], Source]] = {
    "rtsp": _video,
    "rtsps": _video,
    "http": _video,
    "https": _video,
    "": _path,
}


def make_source(settings: SourceSettings, name: str) -> Source:
    """The source of a stream; its thread bears the stream's name."""
    return SOURCES[scheme_of(settings.source)](settings, name)
