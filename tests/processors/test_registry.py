"""What stands before what, and which models a setting takes."""

import re
import shutil
from pathlib import Path

import pytest

from configs.section import Section
from daemon.work.settings import mistakes_of_chain
from models.errors import ModelError
from models.manifest import ModelName
from models.store import ModelStore
from processors.registry import PROCESSORS, build, key_of, model_keys, needed_before
from tests.models.conftest import MODELS
from tests.models.edits import replace

TABLE = Path(__file__).parents[2] / "docs" / "processors.md"


def rows() -> dict[str, tuple[str, list[str]]]:
    """Of the table, by processor: what it works on, and what must stand before it."""
    lines = re.findall(r"^\| `([\w-]+)` \| (\w+) \| (.+) \|$", TABLE.read_text(), re.MULTILINE)
    return {name: (works_on, re.findall(r"`([\w-]+)`", before)) for name, works_on, before in lines}


def test_the_table_has_every_processor() -> None:
    assert list(rows()) == list(PROCESSORS)


@pytest.mark.parametrize("name", PROCESSORS)
def test_the_table_says_what_a_chain_needs_and_no_more(name: str) -> None:
    works_on, before = rows()[name]
    assert works_on == {"face": "faces", "body": "bodies"}[PROCESSORS[name].applies_to]
    assert list(mistakes_of_chain([*before, name])) == []
    for left_out in before:
        assert list(mistakes_of_chain([other for other in [*before, name] if other != left_out])), left_out


@pytest.mark.parametrize("name", PROCESSORS)
def test_what_is_needed_has_one_maker(name: str) -> None:
    """Else a chain's mistake would name several of which one suffices, or none."""
    for kind in PROCESSORS[name].needs:
        assert len([other for other in needed_before(name) if kind in PROCESSORS[other].makes]) == 1, kind


@pytest.mark.parametrize(
    ("name", "before", "needed"),
    [
        ("face-detector", [], []),
        ("age-estimator", ["face-detector"], ["face-fitter"]),
        ("age-estimator", ["face-detector", "face-fitter"], []),
        ("age-estimator", [], ["face-detector", "face-fitter"]),
        ("mask-estimator", ["body-detector"], ["face-detector"]),
    ],
)
def test_needed_before(name: str, before: list[str], needed: list[str]) -> None:
    assert needed_before(name, before) == needed


@pytest.mark.parametrize(
    ("processor", "setting", "model", "said"),
    [
        (
            "face-detector",
            "model",
            "gender-v1",
            "expected a model for face-detection (yunet_2023mar_dyn), got gender-v1, one for gender",
        ),
        (
            "face-fitter",
            "model",
            "face_landmarks_478",
            "expected a model for face-mesh (mp_face_landmark_468), got face_landmarks_478, one with other inputs or "
            "outputs",
        ),
        (
            "age-estimator",
            "head_model",
            "age-v1",
            "expected a model for age (age_head), got age-v1, one with other inputs or outputs",
        ),
        (
            "gender-estimator",
            "second_model",
            "age-v1",
            "expected a model for age-and-gender (faceres_224), got age-v1, one for age",
        ),
        (
            "template-extractor",
            "fusion_model",
            "mobilefacenet_fp_512",
            "expected a model for face-template (identity_fusion), got mobilefacenet_fp_512, one with other inputs or "
            "outputs",
        ),
        (
            "mask-estimator",
            "model",
            "mask",
            "expected a model for mask (mask_mobilenetv2_real), got mask, and none is called so",
        ),
    ],
)
def test_a_model_that_a_setting_does_not_take(
    store: ModelStore, processor: str, setting: str, model: str, said: str
) -> None:
    settings = PROCESSORS[processor].Settings(**{setting: model})
    with pytest.raises(ModelError) as error:
        build([processor], {processor: settings}, store)
    assert str(error.value) == f"{key_of(processor)}.{setting}: {said}"


@pytest.mark.parametrize("name", PROCESSORS)
def test_every_setting_that_names_a_model_is_known_by_its_type(store: ModelStore, name: str) -> None:
    names = {manifest.name for manifest in store.manifests()}
    fields = PROCESSORS[name].Settings.model_fields
    assert model_keys(PROCESSORS[name].Settings) == [key for key, field in fields.items() if field.default in names]


def test_a_setting_is_known_by_its_type_not_by_its_name() -> None:
    class Settings(Section):
        network: ModelName = "yunet_2023mar_dyn"
        second: ModelName | None = None
        camera_model: str = "any"

    assert model_keys(Settings) == ["network", "second"]


def test_another_model_of_the_same_kind_is_taken(tmp_path: Path) -> None:
    for name in ("manifests", "files"):
        shutil.copytree(MODELS / name, tmp_path / name)
    mine = tmp_path / "manifests" / "mine.yaml"
    shutil.copy(tmp_path / "manifests" / "gender-v1.yaml", mine)
    replace(mine, "name: gender-v1", "name: mine")
    store = ModelStore(tmp_path)
    build(["gender-estimator"], {"gender-estimator": PROCESSORS["gender-estimator"].Settings(model="mine")}, store)
    assert [manifest.name for manifest in store.used] == ["mine", "gender_head", "faceres_224"]
