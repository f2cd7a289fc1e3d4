"""Sources by URL scheme; a path without one is a video, or a folder of pictures."""

from collections.abc import Callable
from pathlib import Path

from daemon.sources.base import InThread, Out, Reader, Source
from daemon.sources.folder import PicturesReader, is_picture, pictures_in
from daemon.sources.isolated import Isolated
from daemon.sources.settings import SourceSettings
from daemon.sources.url import scheme_of
from daemon.sources.video import VideoReader


class PathReader:
    """The source for a path: a folder of pictures, a picture or a video."""

    def __init__(self, settings: SourceSettings) -> None:
        self._settings = settings

    def read(self, out: Out) -> None:
        self._reader().read(out)

    def _reader(self) -> Reader:
        path, settings = Path(self._settings.source), self._settings
        if path.is_dir():
            return PicturesReader(lambda: pictures_in(path), settings.mounted, settings.masks)
        if is_picture(path):
            return PicturesReader(lambda: [path], settings.mounted, settings.masks)
        return VideoReader(self._settings)


SOURCES: dict[str, Callable[[SourceSettings], Reader]] = {
    "rtsp": VideoReader,
    "rtsps": VideoReader,
    "http": VideoReader,
    "https": VideoReader,
    "": PathReader,
}


def make_source(settings: SourceSettings, name: str) -> Source:
    """The source of a stream. Its thread or process is named after the stream."""
    make_reader = SOURCES[scheme_of(settings.source)]
    if not settings.isolate:
        return InThread(make_reader(settings), name)
    # Of a stream's settings those alone that the process can take without the whole configuration.
    own = settings.model_dump(include=set(SourceSettings.model_fields))
    return Isolated(make_reader(SourceSettings.model_validate(own)), name)
