"""What faceres, human-models' network, says of a face with its surroundings: one run for all who read it."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from models.store import ModelStore
from processors.arrays import rows
from processors.chips import about_box
from processors.quarter_turn import known
from processors.types import Object, Pyramid

CROP = 224
SCALE = 1.3


@dataclass(frozen=True, slots=True)
class FaceresOutputs:
    """The outputs of one run, float32, as the heads of age and gender take them.

    `age` (1, 100): the probabilities of 0 to 99 years; `male` (1, 1): that of a man; `features` (1, 1024): what both
    were told by. `model` is the name of the network.
    """

    model: str
    age: NDArray[Any]
    male: NDArray[Any]
    features: NDArray[Any]


class Faceres:
    """Runs the network where its outputs are missing, and leaves them on the object for who comes next.

    Whoever was told to read another network of its kind finds the outputs missing.
    """

    def __init__(self, model: str, models: ModelStore) -> None:
        self._model = model
        self._session = models.session(model)

    def __call__(self, pyramid: Pyramid, obj: Object) -> FaceresOutputs:
        if FaceresOutputs not in obj or obj[FaceresOutputs].model != self._model:
            obj.put(self._outputs(pyramid, obj))
        return obj[FaceresOutputs]

    def _outputs(self, pyramid: Pyramid, obj: Object) -> FaceresOutputs:
        chip = about_box(pyramid, obj.box_xyxy, SCALE, CROP, quarters=known(obj) or 0, replicate=True)
        outputs = self._session.run({"input_1:0": rows(chip)})
        return FaceresOutputs(
            self._model,
            age=outputs["age_pred/Softmax:0"],
            male=outputs["gender_pred/Sigmoid:0"],
            features=outputs["global_pooling/Mean:0"],
        )


class FaceresHead:
    """A network that makes one answer of faceres' outputs and another network's."""

    def __init__(self, model: str, faceres: str, models: ModelStore) -> None:
        self._session = models.session(model)
        self._faceres = Faceres(faceres, models)

    def __call__(self, pyramid: Pyramid, obj: Object, **other: NDArray[Any]) -> float:
        """`other`: what the other network says, (1, n), by the name of the head's input."""
        said = self._faceres(pyramid, obj)
        outputs = self._session.run(
            {"faceres_age": said.age, "faceres_male": said.male, "faceres_features": said.features, **other}
        )
        (answer,) = outputs.values()
        return float(answer[0])
