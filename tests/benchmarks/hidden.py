"""Who is still to be seen on pictures that hide faces: python -m tests.benchmarks.hidden FOLDER...

FOLDER holds labelled sets (docs/evaluation.md). Of sets with boxes it says how many labelled faces leave, as the
detector has missed them, by their height; and how many of those that were hidden our detector finds again on the
picture, packed as JPEG as snapshots are. Of sets with an identity it tries to recognise a face again, of `--pictures`
people: the template is made at the place where the face was known to be before it was hidden, with its landmarks, which
is more than anybody has who sees the picture alone. It is held against the template of the open face and, for
strangers, against those of all others.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from daemon.commands.evaluate.labels import LabelledSet, Picture, find_sets, read_set
from daemon.commands.evaluate.task import largest, stacked
from daemon.pictures import decode
from daemon.pictures.hide import GROWN, Hiding, public
from daemon.pictures.shown import QUALITY
from daemon.prepare import prepare
from models.store import ModelStore
from processors.boxes import iou
from processors.chain import Chain
from processors.matcher import Matcher
from processors.registry import PROCESSORS, build_chain
from processors.template_extractor import Template
from processors.types import Floats, Frame, Image, Object, Sample

MAX_PIXELS = 100_000_000
HIDDEN = 0.9
"""Share of a labelled box that must be hidden for the face to be."""
FOUND = 0.3
"""IoU of a labelled box and one that is found again."""
HEIGHTS = ((0, 16), (16, 32), (32, 64), (64, np.inf))
RATES = (1e-2, 1e-3, 1e-4)
"""Of pairs of two people that the matcher takes for one."""


def chain_of(models: ModelStore, *names: str) -> Chain:
    return build_chain(names, {name: PROCESSORS[name].Settings() for name in names}, models)


def opened(picture: Picture) -> Image:
    return decode(picture.path.read_bytes(), MAX_PIXELS)


def hidden(sample: Sample) -> Image:
    """As it leaves, and comes to somebody."""
    sample.put(Hiding(np.array([obj.box_xyxy for obj in sample.objects]).reshape(-1, 4)))
    _, encoded = cv2.imencode(".jpg", public(sample), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return decode(encoded.tobytes(), MAX_PIXELS)


@dataclass(frozen=True)
class Face:
    """A labelled face: its height, how much of its box (0..1) is hidden, and whether it is found again."""

    height: float
    share: float
    again: bool


def grown(boxes: Floats) -> Floats:
    """As they are where they hide."""
    centres, halves = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) * GROWN / 2
    return np.concatenate([centres - halves, centres + halves], axis=1)


def share_within(box: Floats, boxes: Floats, shape: tuple[int, int]) -> float:
    """Of a box within the picture, how much lies in the others."""
    pixels = np.zeros(shape, bool)
    for low_x, low_y, high_x, high_y in boxes:
        columns, rows = slice(max(int(low_x), 0), max(int(high_x), 0)), slice(max(int(low_y), 0), max(int(high_y), 0))
        pixels[rows, columns] = True
    left, top = np.maximum(box[:2], 0).astype(int)
    part = pixels[top : int(np.ceil(box[3])), left : int(np.ceil(box[2]))]
    return float(part.mean()) if part.size else 1.0


def boxes_of(image: Image, detect: Chain) -> tuple[Sample, Floats]:
    sample = Sample(Frame.of(image))
    detect([sample])
    return sample, stacked(obj.box_xyxy for obj in sample.objects)


def faces_of(pictures: Sequence[Picture], models: ModelStore) -> Iterator[Face]:
    detect = chain_of(models, "face-detector")
    for picture in pictures:
        image = opened(picture)
        sample, found = boxes_of(image, detect)
        again = boxes_of(hidden(sample), detect)[1]
        for label in picture.labels:
            if (box := label.box()) is None or label.ignore:
                continue
            share = share_within(box, grown(found), image.shape[:2])
            yield Face(float(box[3] - box[1]), share, bool((iou(box[None], again) > FOUND).any()))


def print_missed(labelled: LabelledSet, models: ModelStore) -> None:
    faces = list(faces_of(labelled.pictures, models))
    print(f"{labelled}: {len(faces)} faces on {len(labelled.pictures)} pictures")
    for low, high in (*HEIGHTS, (0, np.inf)):
        of_height = [face for face in faces if low <= face.height < high]
        away = [face for face in of_height if face.share >= HIDDEN]
        if of_height:
            told = f"{low} px and more" if high == np.inf else f"{low} to {high} px"
            leave = 100 * (1 - len(away) / len(of_height))
            again = sum(face.again for face in away)
            print(f"  {told}: {len(of_height)} faces, {leave:.1f} % leave; of {len(away)} hidden found again: {again}")


def of_people(pictures: Sequence[Picture], most: int) -> list[Picture]:
    """The first picture of each."""
    by_name = {picture.label.text("identity"): picture for picture in reversed(pictures)}
    return [by_name[name] for name in sorted(by_name)][:most]


@dataclass(frozen=True, eq=False)
class Known:
    """A face that was found, with all that is known of it, on its picture with all others."""

    sample: Sample
    face: Object


def known(pictures: Sequence[Picture], models: ModelStore) -> Iterator[Known]:
    look = chain_of(models, "face-detector", "face-fitter", "template-extractor")
    for picture in pictures:
        sample = Sample(Frame.of(opened(picture)))
        look([sample])
        if sample.objects:
            yield Known(sample, largest(sample.objects))


def print_recognised(labelled: LabelledSet, most: int, models: ModelStore) -> None:
    people = list(known(of_people(labelled.pictures, most), models))
    extract, matcher = chain_of(models, "template-extractor"), Matcher(models)
    print(f"{labelled}: {len(people)} people")
    rates = np.zeros((len(people), len(people)))
    for row, person in enumerate(people):
        where = Sample(Frame.of(hidden(person.sample)), [person.face.copy()])
        extract([where])
        blob = where.objects[0][Template].blob
        rates[row] = [matcher.compare(blob, other.face[Template].blob).fa_r for other in people]
    own, others = rates.diagonal(), rates[~np.eye(len(people), dtype=bool)]
    for rate in RATES:
        print(
            f"  at an FPR of {rate:g}: {100 * (own <= rate).mean():.2f} % taken for themselves, "
            f"{100 * (others <= rate).mean():.3f} % for others"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--pictures", type=int, default=100, help="people to be recognised (default: %(default)s)")
    arguments = parser.parse_args()
    prepare()
    models = ModelStore()
    for path in (path for folder in arguments.folders for path in find_sets(folder)):
        labelled = read_set(path)
        if "identity" in labelled.columns:
            print_recognised(labelled, arguments.pictures, models)
        else:
            print_missed(labelled, models)


if __name__ == "__main__":
    main()
