"""A whole session with the services, by either client, with the real models."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from daemon.client import NoAnswer, RequestRefused, Sample
from daemon.client.calls import operation
from daemon.client.documents import KEYPOINTS, Quality
from daemon.client.services import Services
from daemon.http.services.catalogue import services
from tests.client.asking import ASYNCHRONOUS, BLOCKING, Asking, asking, both_ways
from tests.http.access.calls import CERTIFICATE
from tests.http.access.test_tls import TLS, trusting
from tests.http.conftest import Served, serve
from tests.http.test_connections import gate
from tests.photos import photo_of

__all__ = ["serve"]  # fixtures are found by their names here

pytestmark = pytest.mark.slow

MAN, MAN_AGAIN = photo_of("obama"), photo_of("obama2")


async def of_services(of: Asking, version: Any, photo: Path) -> None:
    """Every service once."""
    found = await of.ask(version.face_detector_face_fitter, photo)
    (face,) = found.faces
    assert found.image == MAN
    assert face.confidence is not None and face.confidence > 0.5
    assert face.bbox is not None and 0 < face.bbox.left < face.bbox.right < 1
    assert face.pose is not None and abs(face.pose.roll) < 30
    assert tuple(face.keypoints or ()) == KEYPOINTS
    (body,) = (await of.ask(version.body_detector, found)).bodies
    assert body.bbox.top < face.bbox.bottom < body.bbox.bottom
    assert (await of.ask(version.gender_estimator, found)).faces[0].gender == "male"
    assert 30 < (await of.ask(version.age_estimator, found)).faces[0].age < 70
    emotions = (await of.ask(version.emotion_estimator, found)).faces[0].emotions
    assert sum(emotions.values()) == pytest.approx(1)
    assert emotions.keys() >= {"happy", "neutral"}
    masked = (await of.ask(version.mask_estimator, found)).faces[0].has_medical_mask
    assert (masked.value, masked.confidence < 0.5) == (False, True)
    for service in (version.liveness_estimator, version.face_detector_liveness_estimator):
        live = (await of.ask(service, found)).faces[0].liveness
        assert (live.value, live.confidence > 0.5) == ("real", True)
    quality = (await of.ask(version.quality_assessment_estimator, found)).faces[0].quality
    assert isinstance(quality, Quality)
    assert 0.5 < quality.total_score <= 1
    assert 1 < quality.dynamic_range_score <= 2.55
    assert quality.is_left_eye_opened
    extracted = (await of.ask(version.template_extractor, found)).faces[0]
    assert len(extracted.template) == 296
    (other,) = (await of.ask(version.face_detector_template_extractor, MAN_AGAIN)).faces
    verified = await of.ask(version.verify_matcher, extracted, other.template)
    assert verified.score > 0.9
    assert verified.fa_r <= 1e-4 < verified.fr_r
    drawn = Image.open(BytesIO(await of.ask(version.draw, found)))
    assert drawn.format == "JPEG"


@pytest.mark.parametrize(("way", "version"), [(BLOCKING, "v1"), (ASYNCHRONOUS, "v2")])
async def test_a_session_with_every_service(serve: Served, tmp_path: Path, way: str, version: str) -> None:
    (tmp_path / "photo.jpg").write_bytes(MAN)
    async with serve() as (server, _), asking(way, server.url) as of:
        await of_services(of, getattr(of.client, version), tmp_path / "photo.jpg")


@both_ways
async def test_a_picture_is_a_path_bytes_or_pixels(serve: Served, tmp_path: Path, way: str) -> None:
    """In both versions the same faces are found; pixels of other strides too, as OpenCV's are."""
    (tmp_path / "photo.jpg").write_bytes(MAN)
    pixels = np.asarray(Image.open(BytesIO(MAN)).convert("RGB"))
    bgr = np.ascontiguousarray(pixels[:, :, ::-1])
    async with serve() as (server, _), asking(way, server.url) as of:
        for version in (of.client.v1, of.client.v2):
            detect = version.body_detector
            found = [
                await of.ask(detect, given) for given in (str(tmp_path / "photo.jpg"), MAN, pixels, bgr[..., ::-1])
            ]
            boxes = np.array([sample.bodies[0].bbox for sample in found])
            assert np.ptp(boxes, axis=0).max() < 0.01  # decoders differ by a grey level
        with pytest.raises(FileNotFoundError):
            await of.ask(of.client.v2.body_detector, tmp_path / "none.jpg")
        with pytest.raises(ValueError, match=r"expected uint8 of \(height, width, 3\), got float64 of \(2, 2\)"):
            await of.ask(of.client.v2.body_detector, np.zeros((2, 2)))


@both_ways
async def test_a_refusal_has_its_status_its_words_and_its_places(serve: Served, way: str) -> None:
    async with serve() as (server, _), asking(way, server.url) as of:
        with pytest.raises(RequestRefused, match="GIF came") as unsupported:
            await of.ask(of.client.v2.face_detector_face_fitter, b"GIF89a")
        assert (unsupported.value.status, unsupported.value.problems) == (400, ())
        with pytest.raises(RequestRefused, match=r"objects\.0\.bbox: Field required") as invalid:
            await of.ask(of.client.v2.age_estimator, MAN, [{"class": "face"}])
        assert invalid.value.problems[0].loc == ("body", "objects", 0, "bbox")
        with pytest.raises(RequestRefused, match="the image has 5,000,000 bytes") as large:
            await of.ask(of.client.v1.body_detector, b"\xff\xd8\xff" + bytes(4_999_997))
        assert large.value.status == 413
        with pytest.raises(ValueError, match="expected an object with a template"):
            await of.ask(of.client.v2.verify_matcher, *Sample({"objects": [{"class": "face"}] * 2}).objects)


@both_ways
async def test_a_certificate_is_checked(serve: Served, way: str) -> None:
    async with serve(chain_of=lambda _: gate(), tls=TLS) as (server, _):
        async with asking(way, server.url) as of:
            with pytest.raises(NoAnswer, match="certificate"):
                await of.ask(of.client.v2.body_detector, MAN)
        async with asking(way, server.url, tls=trusting(CERTIFICATE)) as of:
            assert (await of.ask(of.client.v2.body_detector, MAN)).objects == ()


def test_there_is_a_method_for_each_service() -> None:
    named = {name.replace("_", "-") for name, value in vars(Services).items() if isinstance(value, operation)}
    assert named - {"draw"} == set(services("liveness-anti-spoofing"))
