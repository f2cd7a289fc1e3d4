from pathlib import Path

import cv2
import numpy as np
import pytest

from daemon.errors import DamagedImage, SourceError, UnsupportedImage
from daemon.sources.base import InThread
from daemon.sources.folder import PicturesReader, is_picture, pictures_in
from tests.fakes import CollectingFeed
from tests.sources.videos import numbers, picture


def write(path: Path, number: int) -> None:
    assert cv2.imwrite(str(path), picture(number))


async def read(reader: PicturesReader) -> CollectingFeed:
    feed = CollectingFeed()
    await InThread(reader, "test").run(feed)
    return feed


async def test_pictures_in_the_order_of_their_names_one_a_second(tmp_path: Path) -> None:
    for name, number in (("b.PNG", 2), ("a.jpg", 1), ("c.webp", 3), ("0.bmp", 0)):
        write(tmp_path / name, number)
    (tmp_path / "notes.txt").write_text("not a picture")
    feed = await read(PicturesReader(lambda: pictures_in(tmp_path)))
    assert numbers(feed.put_frames) == [0, 1, 2, 3]
    assert [(frame.index, frame.pts) for frame in feed.put_frames] == [(0, 0.0), (1, 1.0), (2, 2.0), (3, 3.0)]
    start = np.array([frame.captured_at - frame.pts for frame in feed.put_frames])
    np.testing.assert_allclose(start, start[0], atol=1e-6)
    assert feed.offered == []


async def test_a_picture_that_cannot_be_read_is_counted_and_the_others_go_on(tmp_path: Path) -> None:
    for number in range(4):
        write(tmp_path / f"{number}.jpg", number)
    damaged = tmp_path / "1.jpg"
    damaged.write_bytes(damaged.read_bytes()[:300])
    (tmp_path / "2.jpg").write_text("not a picture")
    (tmp_path / "5.jpg").mkdir()
    feed = await read(PicturesReader(lambda: pictures_in(tmp_path)))
    assert numbers(feed.put_frames) == [0, 3]
    assert [frame.index for frame in feed.put_frames] == [0, 3]
    assert [type(error) for error in feed.failed] == [DamagedImage, UnsupportedImage, IsADirectoryError]
    assert all(f"{number}.jpg" in str(error) for number, error in zip((1, 2, 5), feed.failed, strict=True))


async def test_pictures_that_are_mounted_otherwise_are_turned(tmp_path: Path) -> None:
    stored = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    assert cv2.imwrite(str(tmp_path / "a.png"), stored)
    feed = await read(PicturesReader(lambda: pictures_in(tmp_path), mounted=90))
    (frame,) = feed.put_frames
    np.testing.assert_array_equal(frame.image, cv2.rotate(stored, cv2.ROTATE_90_CLOCKWISE))
    assert (frame.width, frame.height) == (4, 6)


async def test_a_second_run_sees_what_has_come(tmp_path: Path) -> None:
    reader = PicturesReader(lambda: pictures_in(tmp_path))
    write(tmp_path / "a.png", 1)
    assert len((await read(reader)).put_frames) == 1
    write(tmp_path / "b.png", 2)
    assert len((await read(reader)).put_frames) == 2


async def test_a_folder_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(SourceError, match=r"expected pictures \(.*\.jpg.*\), found none"):
        await read(PicturesReader(lambda: pictures_in(tmp_path)))


async def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nowhere: No such file or directory"):
        await read(PicturesReader(lambda: pictures_in(tmp_path / "nowhere")))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.jpg", True),
        ("a.JPEG", True),
        ("a.png", True),
        ("a.bmp", True),
        ("a.webp", True),
        ("a.gif", False),
        ("jpg", False),
    ],
)
def test_is_picture(name: str, expected: bool) -> None:
    assert is_picture(Path(name)) == expected
