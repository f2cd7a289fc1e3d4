"""A model's manifest: what its file is, where it comes from, and what goes in and out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import PositiveInt, StringConstraints, ValidationError, model_validator

from configs.section import Section
from models.errors import ManifestError

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][\w.-]*$")]
ModelName = Annotated[str, "names a manifest"]
"""A setting's choice of a model: told from other text by its annotation, also in `ModelName | None`."""
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
# A number is fixed; a name stands for a size that each run chooses.
Dimension = PositiveInt | Annotated[str, StringConstraints(pattern=r"^[A-Za-z]\w*$")]


def signature(name: str, dtype: object, shape: Sequence[object]) -> str:
    return f"{name} {dtype}[{', '.join(map(str, shape))}]"


class Tensor(Section):
    name: Text
    dtype: Literal["bool", "uint8", "int32", "int64", "float16", "float32", "float64"]
    shape: tuple[Dimension, ...]

    def __str__(self) -> str:
        return signature(self.name, self.dtype, self.shape)

    def accepts(self, array: NDArray[np.generic]) -> bool:
        return (
            array.dtype == self.dtype
            and array.ndim == len(self.shape)
            and all(
                isinstance(wanted, str) or wanted == size for wanted, size in zip(self.shape, array.shape, strict=True)
            )
        )


class Input(Tensor):
    layout: Text
    colour: Literal["BGR", "RGB", "grey"] | None = None
    normalisation: Text


class Provenance(Section):
    """The package that a file was made from, by the recipe (a path below models/).

    What visaged fitted itself comes from no package: `registry` is "visaged", and the recipe fits it.
    """

    registry: Literal["PyPI", "npm", "visaged"]
    package: Annotated[str, StringConstraints(pattern=r"^\S+==\S+$")] | None = None
    path: Text | None = None
    member: Text | None = None
    sha256: Sha256 | None = None
    recipe: Text

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        packaged = self.registry != "visaged"
        if any((part is not None) != packaged for part in (self.package, self.path, self.sha256)):
            wanted = "expected all three" if packaged else "expected none of them"
            raise ValueError(f"package, path, sha256: {wanted}, as the registry is {self.registry}")
        return self


class Manifest(Section):
    """A network, or a data file if it has neither inputs nor outputs."""

    name: Name
    file: Name
    sha256: Sha256
    bytes: PositiveInt
    task: Text
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    max_batch: PositiveInt = 1
    session_options: Mapping[str, str] = {}
    """onnxruntime's session configuration entries, where a network wants other than the defaults."""
    whole_products_with: tuple[Text, ...] = ()
    """Of a network in 8 bits: features, by the names in /proc/cpuinfo, with one of which x64 adds products of unsigned
    and signed bytes in 32 bits. Without, in 16, perhaps too few: onnxruntime then takes unsigned weights, slower."""
    without_optimizers: Mapping[str, Text] = {}
    """onnxruntime's graph optimizers that cost this network more than they save, each with the CPU's feature, by the
    name in /proc/cpuinfo, with which that was measured (tests/benchmarks/optimizers.py)."""
    answers_of: Sha256 | None = None
    """Of the file that this one was made of without changing its answers but for rounding: templates that either made
    are compared."""
    full_precision: Text | None = None
    """What this network loses below float32, where it is more than a standard error: it is then never computed so."""
    licence: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+() -]*$")]
    use: Literal["default-allowed", "research-only"]
    training_data: Text
    provenance: Provenance

    @property
    def is_network(self) -> bool:
        return bool(self.inputs)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if bool(self.inputs) != bool(self.outputs):
            raise ValueError("inputs and outputs: expected both (a network) or neither (a data file)")
        fixed = [tensor for tensor in self.inputs if not tensor.shape or isinstance(tensor.shape[0], int)]
        if fixed and self.max_batch > 1:
            raise ValueError(f"max_batch: expected 1, because {fixed[0]} has a fixed batch; got {self.max_batch}")
        return self


def read_manifest(path: Path) -> Manifest:
    """Raises ManifestError; a path that can't be read raises OSError."""
    try:
        manifest = Manifest.model_validate(yaml.safe_load(path.read_bytes()))
    except yaml.YAMLError as err:
        raise ManifestError(path, [f"not YAML: {err}"]) from err
    except ValidationError as err:
        raise ManifestError(path, _problems(err)) from err
    if manifest.name != path.stem:
        raise ManifestError(path, [f"name: expected {path.stem!r}, after the file, got {manifest.name!r}"])
    return manifest


def _problems(error: ValidationError) -> list[str]:
    """One line for each wrong field, with what was expected and what came."""
    return [
        f"{'.'.join(map(str, problem['loc'])) or 'manifest'}: {problem['msg']}"
        # The input of a missing field, and of a check of the whole manifest, is all that surrounds it.
        + ("" if problem["type"] in ("missing", "value_error") else f", got {problem['input']!r}")
        for problem in error.errors(include_url=False)
    ]
