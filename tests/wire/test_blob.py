import base64

import numpy as np
import pytest
from PIL import Image

from daemon.errors import BadBase64, ImageTooLarge, InvalidDocument, TooManyBytes
from daemon.wire.blob import ArrayBlob, EncodedPicture, ImageBlob, decode_base64, encode_base64
from tests.photos import encoded

DATA = bytes(range(256))
TEXT = base64.b64encode(DATA).decode()
PIXELS = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
PNG = encoded(Image.fromarray(PIXELS), "PNG")


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        f" {TEXT}\n",
        base64.encodebytes(DATA).decode().replace("\n", "\r\n"),
        "\t\f\v".join(TEXT),
        f"data:image/jpeg;base64,{TEXT}",
        f"data:;base64,{TEXT}\n",
        f"DATA:image/JPEG;charset=x;BASE64,{TEXT}",
        f" \n data:image/jpeg;base64 , {TEXT}",
        TEXT.rstrip("="),
        TEXT + "=",
        TEXT.replace("+", "-").replace("/", "_"),
        TEXT.replace("+", "-").replace("/", "_").rstrip("="),
    ],
)
def test_base64_is_decoded(text: str) -> None:
    assert decode_base64(text) == DATA


def test_what_is_encoded_is_decoded() -> None:
    assert encode_base64(DATA) == TEXT


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "image in base64",
        "YWJjZ",  # a character that is half a byte
        "YQ==YQ==",
        "Y%51==",
        "YQ.",
        "A",
        "====",
        "YQ==\x00",
        "YQ==é",
        "шаблон",
        "data:image/jpeg;base64,",
        f"data:image/jpeg,{TEXT}",
    ],
)
def test_what_is_not_base64_is_refused(text: str) -> None:
    with pytest.raises(BadBase64, match=r"^Failed to decode base64 string$"):
        decode_base64(text)


def test_the_limit_is_on_the_file_itself() -> None:
    for picture in (ImageBlob(blob=encode_base64(PNG)), EncodedPicture(PNG)):
        assert (picture.decode(max_pixels=6, max_bytes=len(PNG)) == PIXELS[..., ::-1]).all()
        with pytest.raises(
            TooManyBytes,
            match=rf"^Request body size is too large: the image has {len(PNG)} bytes, the limit is {len(PNG) - 1}$",
        ):
            picture.decode(max_pixels=6, max_bytes=len(PNG) - 1)


def array(shape: tuple[int, int, int], data: bytes) -> ArrayBlob:
    return ArrayBlob(blob=encode_base64(data), format="NDARRAY", dtype="uint8", shape=shape)  # type: ignore[arg-type]


def test_an_array_is_rgb_and_limited_by_its_pixels() -> None:
    blob = array((2, 3, 3), PIXELS.tobytes())
    assert (blob.decode(max_pixels=6, max_bytes=1) == PIXELS[..., ::-1]).all()
    with pytest.raises(ImageTooLarge):
        blob.decode(max_pixels=5, max_bytes=1)


@pytest.mark.parametrize("shape", [(3, 3, 3), (1, 3, 3)])
def test_an_array_has_the_bytes_of_its_shape(shape: tuple[int, int, int]) -> None:
    with pytest.raises(InvalidDocument) as caught:
        array(shape, PIXELS.tobytes()).decode(max_pixels=100, max_bytes=100)
    (problem,) = caught.value.problems
    assert problem.loc == ("_image", "shape")
    assert "18 bytes" in problem.msg
