"""`visaged process`: a chain over pictures and videos, one after the other, documents to standard output."""

import sys
from collections.abc import Sequence
from pathlib import Path

import cv2

from daemon.commands.drawn_video import DrawnVideo
from daemon.commands.progress import progress
from daemon.commands.store import model_store
from daemon.config.model import Config
from daemon.errors import ConfigError, SourceError, VisagedError, words
from daemon.pictures.draw import drawn
from daemon.pictures.hide import public
from daemon.prepare import prepare
from daemon.sources.base import Waits
from daemon.sources.folder import PicturesReader, is_picture, pictures_in
from daemon.sources.settings import SourceSettings
from daemon.sources.url import redacted
from daemon.sources.video import VideoReader
from daemon.work.documents import Documents
from daemon.work.hiding import Hides
from daemon.work.privacy import hidden_by
from daemon.work.settings import found_by, mistakes_of_chain
from models.errors import ModelError
from processors.chain import Chain
from processors.registry import build_chain
from processors.types import Frame, Image, Sample


def main(inputs: Sequence[str], *, chain: Sequence[str], draw: Path | None, config: Config) -> int:
    """0 if every input could be read whole; what could not is named on standard error and the others go on."""
    if mistakes := list(mistakes_of_chain(chain)):
        raise ConfigError("\n".join(f"--chain: {mistake}" for mistake in mistakes))
    if draw is not None:
        try:
            draw.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise ConfigError(f"--draw: expected a folder for the drawings, got {draw}: {err.strerror}") from err
    hides = Hides(config.privacy, found := found_by(chain))
    if draw is not None and (lacking := hidden_by(config.privacy.hide, ()) - found):
        expected = " and ".join(f"{label}-detector" for label in sorted(lacking))
        raise ConfigError(
            f"--chain: expected {expected} where privacy.hide is {config.privacy.hide} and --draw wants pictures, got "
            "none: nobody would know whom to hide"
        )
    prepare()
    models = model_store(config)
    built = build_chain(chain, config.processor_settings(), models)
    failed = 0
    for name in progress(_expanded(inputs), "file"):
        out = _Output(name, built, draw, hides)
        try:
            _reader(name).read(out)
        except SourceError as err:
            out.fail(err)
        finally:
            out.close()
        failed += out.failed > 0
    return 1 if failed else 0


def _expanded(inputs: Sequence[str]) -> list[str]:
    """Folders replaced by the pictures in them."""
    return [str(path) for name in inputs for path in (pictures_in(Path(name)) if Path(name).is_dir() else [name])]


def _reader(name: str) -> PicturesReader | VideoReader:
    path = Path(name)
    return PicturesReader(lambda: [path]) if is_picture(path) else VideoReader(SourceSettings(source=name))


class _Output:
    """Takes the frames of one input as a source's outlet does, and works on each at once."""

    stopped = False

    def __init__(self, name: str, chain: Chain, draw: Path | None, hides: Hides) -> None:
        self.failed = 0
        self._name = name
        self._chain = chain
        self._documents = Documents(name, chain.makes, "none")
        self._draw = draw
        self._hides = hides
        self._video: DrawnVideo | None = None

    def put(self, frame: Frame) -> None:
        sample = Sample(frame)
        try:
            self._chain([sample])
        except ModelError:  # of all inputs
            raise
        except Exception as err:  # noqa: BLE001  # this picture's: the others go on
            self.fail(err)
            return
        sys.stdout.buffer.write(self._documents(sample, self._name).value + b"\n")
        sys.stdout.buffer.flush()
        if self._draw is not None:
            self._hides.see_all(sample)
            self._write(self._draw / Path(self._name).name, drawn(sample, public(sample)), frame.pts)

    offer = put

    def fail(self, error: Exception) -> None:
        self.failed += 1
        text, name = _words(error), redacted(self._name)
        sys.stderr.write(f"{text}\n" if name in text else f"{name}: {text}\n")

    def skip(self, reason: str) -> None:
        """A packet without a picture of its own."""

    def waits(self, what: Waits | None) -> None:
        """For files wait for nothing."""

    def opened(self, codec: str) -> None: ...

    def close(self) -> None:
        if self._video is not None:
            self._video.close()

    def _write(self, path: Path, image: Image, pts: float) -> None:
        if is_picture(path):
            cv2.imwrite(str(path), image)
            return
        if self._video is None:
            self._video = DrawnVideo(path.with_suffix(".mp4"))
        self._video.write(image, pts)


def _words(error: Exception) -> str:
    return words(error) if isinstance(error, VisagedError | OSError) else repr(error)
