"""What answers requests: bytes in, bytes out, in the engine's workers. Nothing here is for the event loop."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from daemon.http.services.catalogue import Comparison, Detection, Estimation, IfMissing, Service, Steps
from daemon.http.settings import HttpSettings
from daemon.pictures.hide import NOTHING
from daemon.pictures.shown import shown, sized
from daemon.wire import v1
from daemon.wire.codec import encode
from daemon.wire.members import verification
from daemon.wire.merge import with_found, with_results
from daemon.wire.request import of_file, read, read_faces, read_pair
from daemon.wire.said import said
from daemon.wire.v1 import V1
from daemon.wire.v2 import V2
from daemon.wire.version import Received, Size, Version
from processors.chain import Chain, Missing
from processors.matcher import Matcher
from processors.types import Frame, Processor, Sample

DRAWN_WIDTH = 1280
"""Of drawings, at most, in pixels."""
DECODING_WAIT_S = 5.0  # for room among other large pictures; a worker that waits serves nobody
Answer = Callable[[bytes], bytes]
ChainOf = Callable[[Sequence[str]], Processor]
"""Makes a chain from the names of its processors."""
MatcherOf = Callable[[], Matcher]


def answers(
    service: Service, chain_of: ChainOf, matcher_of: MatcherOf, settings: HttpSettings
) -> Iterator[tuple[str, str, Answer]]:
    """A version, "sample" or "image", and what answers there; the models are loaded on the way."""
    match service:
        case Detection():
            detector = chain_of([service.detector])
            chain = _chain(service.chain, chain_of) if service.chain else None
            for version in (V1, V2):
                detects = _Detects(service, version, detector, chain, settings)
                yield version.name, "sample", detects.answer_sample
                yield version.name, "image", detects.answer_file
        case Estimation():
            chain = _chain(service.chain, chain_of)
            for version in (V1, V2):
                yield version.name, "sample", _Estimates(service, version, chain, settings).answer_sample
        case Comparison():
            matcher = matcher_of()
            for version in (V1, V2):
                yield version.name, "sample", _Compares(version, matcher, settings).answer_sample


def _chain(steps: Steps, chain_of: ChainOf) -> Processor:
    return Chain(
        [
            Missing(step.kind, chain_of([step.processor])) if isinstance(step, IfMissing) else chain_of([step])
            for step in steps
        ]
    )


@dataclass(frozen=True, slots=True)
class _Detects:
    service: Detection
    version: Version
    detector: Processor
    chain: Processor | None
    settings: HttpSettings

    def answer_sample(self, body: bytes) -> bytes:
        return self._answer(read(self.version, body, self.settings.max_objects))

    def answer_file(self, data: bytes) -> bytes:
        return self._answer(of_file(self.version, data))

    def _answer(self, received: Received) -> bytes:
        service = self.service
        sample = Sample(_frame(received, self.settings, service.max_pixels))
        self.detector([sample])
        sample.objects = list(service.select(sample.objects))
        if sample.objects and self.chain is not None:
            self.chain([sample])
        for obj in sample.objects:
            service.check(obj, self.settings)
        version = service.v2_of_v1_image if self.version is V2 and v1.IMAGE in received.image else self.version
        return encode(with_found(version, received, sample, service.emits, service.label))


@dataclass(frozen=True, slots=True)
class _Estimates:
    service: Estimation
    version: Version
    chain: Processor
    settings: HttpSettings

    def answer_sample(self, body: bytes) -> bytes:
        received, faces = read_faces(self.version, body, self.settings.max_objects)
        frame = _frame(received, self.settings)
        size = Size(frame.width, frame.height)
        sample = Sample(frame, [face.to_object(size) for face in faces.values()])
        if sample.objects:
            self.chain([sample])
        return encode(with_results(self.version, received, faces, sample, self.service.emits))


@dataclass(frozen=True, slots=True)
class _Compares:
    version: Version
    matcher: Matcher
    settings: HttpSettings

    def answer_sample(self, body: bytes) -> bytes:
        pair = read_pair(self.version, body, self.settings.max_objects)
        return encode({"objects": pair.objects} | verification(self.matcher.compare(*pair.templates)))


@dataclass(frozen=True, slots=True)
class Draws:
    """Answers with a JPEG of a document's picture, on which what the document says is drawn."""

    version: Version
    settings: HttpSettings
    display_width: int | None
    """drawn()'s."""

    def __call__(self, body: bytes) -> bytes:
        received = read(self.version, body, self.settings.max_objects)
        frame = _frame(received, self.settings)
        sample = Sample(frame, said(self.version, received, Size(frame.width, frame.height)))
        sample.put(NOTHING)  # whoever asks has sent the picture
        return shown(sample, sized(frame, DRAWN_WIDTH), draw=True, display_width=self.display_width)


def _frame(received: Received, settings: HttpSettings, max_pixels: int | None = None) -> Frame:
    allowed = int(settings.max_megapixels * 1e6)
    image = received.picture.decode(
        max_pixels=min(allowed, max_pixels or allowed), max_bytes=settings.max_image_bytes, wait=DECODING_WAIT_S
    )
    return Frame.of(image)
