"""A client that sends one service's answer to the next and merges what comes back."""

from typing import Any

import aiohttp
import pytest

from tests.http.calls import document, post
from tests.photos import photo_of

CHAIN = (
    "gender-estimator",
    "age-estimator",
    "emotion-estimator",
    "mask-estimator",
    "liveness-estimator",
    "quality-assessment-estimator",
    "template-extractor",
)
COMPUTED = {
    "v1": {"gender", "age", "emotions", "mask", "liveness", "quality", "$template", "template_size"},
    "v2": {"gender", "age", "emotions", "has_medical_mask", "liveness", "quality", "template"},
}
FITTED = {"v1": {"fitter", "angles"}, "v2": {"keypoints", "pose"}}
MINE = {"mine": {"deep": [1, 2.5, None, "é"]}}


def merged(below: Any, over: Any) -> Any:
    """Deep, objects by their places."""
    if isinstance(below, dict) and isinstance(over, dict):
        return below | {name: merged(below.get(name), value) for name, value in over.items()}
    if isinstance(below, list) and isinstance(over, list) and len(below) == len(over):
        return [merged(*pair) for pair in zip(below, over, strict=True)]
    return over


async def analysed(client: aiohttp.ClientSession, version: str, name: str) -> Any:
    """All that can be had about a photo's face."""
    fitted = await post(
        client, f"/face-detector-face-fitter/{version}/process/sample", document(version, photo_of(name))
    )
    (face,) = fitted["objects"]
    face |= MINE
    answer = fitted
    for service in CHAIN:
        sent = answer
        got = await post(client, f"/{service}/{version}/process/sample", sent)
        answer = merged(sent, got)
        assert answer == got  # each answer holds all that was sent
    return answer


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_photos_from_the_fitter_to_verification(client: aiohttp.ClientSession, version: str) -> None:
    answers = {name: await analysed(client, version, name) for name in ("obama", "obama2", "biden")}
    faces = {name: answer["objects"][0] for name, answer in answers.items()}
    for name, face in faces.items():
        expected = {"id", "class", "confidence", "bbox", "mine"} | FITTED[version] | COMPUTED[version]
        assert face.keys() == expected
        assert face["mine"] == MINE["mine"]
        assert face["gender"].lower() == "male", name
        assert 30 <= int(face["age"]) <= 80, name
        assert face["liveness"]["value"].lower() == "real", name
        assert not face["mask" if version == "v1" else "has_medical_mask"]["value"]
        assert sum(score["confidence"] for score in face["emotions"]) == pytest.approx(1)

    for name, emotion in (("obama", "happy"), ("biden", "neutral")):
        most = max(faces[name]["emotions"], key=lambda score: score["confidence"])
        assert most["emotion"].lower() == emotion

    async def verified(first: str, second: str) -> Any:
        sent = {"objects": [faces[first], faces[second]]}
        answer = await post(client, f"/verify-matcher/{version}/process/sample", sent)
        assert answer["objects"] == sent["objects"]
        return answer["verification"]

    same, other, itself = [await verified("obama", name) for name in ("obama2", "biden", "obama")]
    assert itself["distance"] <= same["distance"] < other["distance"]
    assert itself["score"] >= same["score"] >= 0.9 > 0.5 > other["score"]
    assert same["fa_r"] <= 1e-4 < other["fa_r"]
    assert same["fr_r"] > other["fr_r"]


async def test_versions_agree(client: aiohttp.ClientSession) -> None:
    first, second = [(await analysed(client, version, "obama"))["objects"][0] for version in ("v1", "v2")]
    assert first["gender"].lower() == second["gender"]
    assert first["age"] == second["age"]
    assert [(s["confidence"], s["emotion"].lower()) for s in first["emotions"]] == [
        (s["confidence"], s["emotion"]) for s in second["emotions"]
    ]
    assert first["mask"] == second["has_medical_mask"]
    assert first["liveness"]["confidence"] == second["liveness"]["confidence"]
    whole, parts = list(first["quality"]["qaa"].values()), list(second["quality"].values())
    assert len(whole) == len(parts) == 29
    for (name, part), number in zip(second["quality"].items(), whole, strict=True):
        scaled = part * 100 if name.endswith("_score") else part
        assert number == pytest.approx(scaled, abs=0.51), name
        assert type(number) in (int, bool), name
    ((_, template),) = second["template"].items()
    assert first["$template"] == template["blob"]


async def test_templates_of_both_routes_are_of_one_face(client: aiohttp.ClientSession) -> None:
    direct = await post(
        client, "/face-detector-template-extractor/v1/process/sample", document("v1", photo_of("obama"))
    )
    chained = await analysed(client, "v1", "obama")
    pair = {"objects": direct["objects"] + chained["objects"]}
    answer = await post(client, "/verify-matcher/v1/process/sample", pair)
    itself = await post(client, "/verify-matcher/v1/process/sample", {"objects": direct["objects"] * 2})
    assert answer["verification"]["score"] == pytest.approx(itself["verification"]["score"], abs=0.02)
