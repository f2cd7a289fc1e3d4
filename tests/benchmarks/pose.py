"""Mean errors of head pose on labelled pictures: python -m tests.benchmarks.pose FOLDER...

A folder holds labels.csv with the columns path, yaw, pitch, roll (degrees, the contract's signs). A picture counts by
its largest face; one without a face is listed as not found.
"""

import argparse
import csv
from pathlib import Path

import cv2
import numpy as np

from models.store import ModelStore
from processors.registry import build_chain
from processors.types import FaceMesh, Frame, Pose, Sample

BANDS = ((0, 15), (15, 30), (0, 30), (30, 45), (45, 60), (60, 180))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    chain = build_chain(["face-detector", "face-fitter"], {}, ModelStore())
    for folder in parser.parse_args().folders:
        truth, found, presence = [], [], []
        with (folder / "labels.csv").open() as labels:
            for row in csv.DictReader(labels):
                image = cv2.imread(str(folder / row["path"]))
                assert image is not None, row["path"]
                sample = Sample(Frame.of(image))  # type: ignore[arg-type]
                chain([sample])
                faces = sorted(sample.objects, key=lambda face: float(np.prod(face.box_xyxy[2:] - face.box_xyxy[:2])))
                truth.append([float(row[name]) for name in ("yaw", "pitch", "roll")])
                pose = faces[-1][Pose] if faces else None
                found.append([pose.yaw, pose.pitch, pose.roll] if pose else [np.nan] * 3)
                presence.append(faces[-1][FaceMesh].presence if faces else np.nan)
        report(folder, np.array(truth), np.array(found), np.array(presence))


def report(folder: Path, truth: np.ndarray, found: np.ndarray, presence: np.ndarray) -> None:
    missed = np.isnan(presence)
    error = np.abs((found - truth + 180) % 360 - 180)
    yaw = np.abs(truth[:, 0])
    print(f"{folder.name}: {len(truth)} pictures, {missed.sum()} without a face found; mean absolute error in degrees")
    print(f"  {'':22}  pictures    yaw  pitch   roll")
    rows = [(f"|yaw| {low} to {high}", (yaw >= low) & (yaw < high)) for low, high in BANDS]
    rows.append(("presence >= .99", presence >= 0.99))
    for name, chosen in rows:
        if (chosen := chosen & ~missed).any():
            print(f"  {name:22} {chosen.sum():9}  " + "  ".join(f"{e:5.1f}" for e in error[chosen].mean(axis=0)))
    for name, k in (("yaw", 0), ("pitch", 1), ("roll", 2)):
        clear = ~missed & (np.abs(truth[:, k]) >= 10) & (yaw < 60)
        if clear.any():
            agree = np.sign(found[clear, k]) == np.sign(truth[clear, k])
            print(f"  sign of {name} right where it is 10 degrees or more: {agree.sum()} of {clear.sum()}")


if __name__ == "__main__":
    main()
