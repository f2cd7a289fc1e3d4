"""Who is hidden on the pictures of a stream: those whom its detectors found on the very frame, or no picture leaves."""

import base64
import json
from typing import Any

import cv2
import numpy as np
import pytest

from daemon.flow.receipts import LookCounts
from daemon.pictures import decode
from daemon.pictures.hide import Hiding, may_leave, public
from daemon.work.hiding import Hides, in_zones
from daemon.work.places.settings import ZoneSettings
from daemon.work.plan import Plan
from daemon.work.privacy import Hide, PrivacySettings
from daemon.work.settings import ProcessorSettings
from models.store import ModelStore
from processors.chain import Chain
from processors.matcher import Matcher
from processors.registry import build
from processors.template_extractor import Template
from processors.types import Frame, Image, Label, Object, Sample
from sinks.base import WITHOUT_PICTURES, Record
from tests.processors.pictures import PORTRAITS, portrait
from tests.work.scenes import body, face, frame

BOTH: tuple[Label, ...] = ("face", "body")
STRANGERS = 1e-2
"""The rate of pairs of two people that are as near, which a hidden face must not fall below."""


def settled(hides: Hides, *objects: Object, looked: tuple[Label, ...] = BOTH) -> Sample:
    sample = Sample(frame(0), objects)
    for label in looked:
        hides.note(sample, label)
    hides.settle(sample)
    return sample


def boxes(sample: Sample) -> list[list[float]]:
    return sorted(sample[Hiding].boxes_xyxy.tolist())


@pytest.mark.parametrize(("hide", "hidden"), [(None, []), ("faces", ["face"]), ("bodies", ["face", "body"])])
def test_whom_a_word_means(hide: Hide | None, hidden: list[Label]) -> None:
    somebody = [face(100), body(300)]
    sample = settled(Hides(PrivacySettings(hide=hide), BOTH), *somebody)
    assert boxes(sample) == sorted(obj.box_xyxy.tolist() for obj in somebody if obj.label in hidden)
    assert may_leave(sample)


@pytest.mark.parametrize(
    ("hide", "found", "looked", "withheld"),
    [
        ("faces", BOTH, ("body",), "not looked at for face"),
        ("faces", ("body",), ("body",), "not looked at for face"),
        ("bodies", BOTH, ("body",), "not looked at for face"),
        ("bodies", BOTH, (), "not looked at for body and face"),
        ("bodies", ("body",), ("body",), None),
        ("faces", BOTH, ("face",), None),
        (None, (), (), None),
    ],
)
def test_without_a_look_for_all_who_are_hidden_no_picture_leaves(
    hide: Hide | None, found: tuple[Label, ...], looked: tuple[Label, ...], withheld: str | None
) -> None:
    counts = LookCounts()
    sample = settled(Hides(PrivacySettings(hide=hide), found, counts), face(100), body(300), looked=looked)
    assert sample[Hiding].withheld == withheld
    assert counts.withheld == ({} if withheld is None else {withheld: 1})


def test_who_is_in_an_excepted_zone_is_shown() -> None:
    left = ZoneSettings(name="till", polygon=((0, 0), (0.5, 0), (0.5, 1), (0, 1)))
    somebody = [face(100), face(500)]
    hides = Hides(PrivacySettings(hide="faces"), BOTH, spares=in_zones([left]))
    assert boxes(settled(hides, *somebody)) == [somebody[1].box_xyxy.tolist()]
    assert len(boxes(settled(Hides(PrivacySettings(hide="faces"), BOTH, spares=in_zones([])), *somebody))) == 2


def plan(store: ModelStore, **settings: Any) -> Plan:
    from daemon.control.settings import StreamSettings

    given = {"source": "a.mp4", "chain": ["face-detector"], "image": "full"} | settings
    return Plan(StreamSettings.model_validate(given), ProcessorSettings(), store)


def records(plan: Plan, count: int = 1) -> list[Record]:
    picture = cv2.resize(portrait("obama"), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    wide = np.hstack([picture, picture[:, ::-1]]).astype(np.uint8)
    work = plan.work("hall", "run")
    frames = [Frame.of(wide, index=index, pts=index / 5, captured_at=index / 5) for index in range(count)]
    return [record for one in frames for record in work.tell(work.look(one, one.index))]


def picture_of(record: Record) -> Image | None:
    document = json.loads(record.value)
    document = document.get("object", document)
    return decode(base64.b64decode(document["_image"]["blob"]), 10**8) if "_image" in document else None


HIDE = {"hide": "faces"}


def faces_on(store: ModelStore, picture: Image) -> int:
    sample = Sample(Frame.of(picture))
    Chain(build(["face-detector"], {"face-detector": ProcessorSettings().face_detector}, store))([sample])  # type: ignore[attr-defined]
    return len(sample.objects)


@pytest.mark.parametrize("tracking", [None, {}])
@pytest.mark.parametrize("regions", [None, {"include": [[[0, 0], [0.5, 0], [0.5, 1], [0, 1]]]}])
def test_faces_that_do_not_count_are_hidden_too(
    store: ModelStore, tracking: dict[str, Any] | None, regions: dict[str, Any] | None
) -> None:
    shown, hidden = (
        records(plan(store, tracking=tracking, regions=regions, privacy=privacy))[0] for privacy in ({}, HIDE)
    )
    assert len(json.loads(hidden.value)["objects"]) == (2 if regions is None else 1)
    before, after = picture_of(shown), picture_of(hidden)
    assert before is not None and after is not None
    assert (faces_on(store, before), faces_on(store, after)) == (2, 0)


def test_a_predicted_frame_gives_a_document_and_no_picture(store: ModelStore) -> None:
    seldom = plan(store, tracking={"per": {"face-detector": 2}}, privacy=HIDE)
    told = records(seldom, 4)
    assert [picture_of(record) is not None for record in told] == [True, False, True, False]
    assert [WITHOUT_PICTURES in record.headers for record in told] == [False, True, False, True]
    assert [len(json.loads(record.value)["objects"]) for record in told] == [2] * 4
    assert seldom.looks.withheld == {"not looked at for face": 2}


def test_the_crop_of_an_event_is_hidden(store: ModelStore) -> None:
    tracking = {"events": {"image": True}}
    told = records(plan(store, image="none", tracking=tracking, privacy=HIDE), 3)
    events = [record for record in told if record.durable]
    crops = [crop for event in events if (crop := picture_of(event)) is not None]
    assert len(crops) == len(events) == 2
    assert all(faces_on(store, crop) == 0 for crop in crops)


def chain(store: ModelStore, *names: str) -> Chain:
    settings = ProcessorSettings()
    sections = {name: getattr(settings, name.replace("-", "_")) for name in names}
    return Chain(build(names, sections, store))


def test_a_hidden_face_is_nobody_to_our_networks(store: ModelStore) -> None:
    """Not found, and where it is known to be, no nearer to itself than strangers are."""
    matcher, look, extract = (
        Matcher(store),
        chain(store, "face-detector", "face-fitter"),
        chain(store, "template-extractor"),
    )
    for name in PORTRAITS:
        sample = Sample(Frame.of(portrait(name)))
        look([sample])
        extract([sample])
        hides = Hides(PrivacySettings(hide="faces"), BOTH)
        hides.see_all(sample)
        hidden = public(sample)
        assert faces_on(store, hidden) == 0
        known = Sample(Frame.of(hidden), [obj.copy() for obj in sample.objects])
        extract([known])
        (before,), (after,) = sample.objects, known.objects
        assert matcher.compare(before[Template].blob, after[Template].blob).fa_r > STRANGERS
