"""What can be wrong with a model.

ModelError
├── ManifestError           a manifest is not YAML, or a field is missing, unknown or wrong
├── UnknownModel            no manifest has this name
├── NotANetwork             a data file was asked for a session
├── MissingModelFile        the manifest's file is not there
├── ChangedModelFile        its bytes are not the manifest's
├── UnreadableModel         the runtime (onnxruntime, OpenVINO) can't open it
├── WrongModelShape         its inputs or outputs are not the manifest's
├── WrongModel              a setting names no model, or one that is for something else
├── ProviderUnavailable     the execution provider that was asked for can't be had
├── PrecisionUnavailable    the precision that was asked for can't be had on this CPU
├── WrongInput              a run was given other names, types or shapes than the manifest says
└── InferenceFailed         the runtime gave up during a run
"""

import difflib
from collections.abc import Collection
from pathlib import Path


class ModelError(Exception):
    """The base of all errors of this package."""


class ManifestError(ModelError):
    def __init__(self, path: Path, problems: Collection[str]) -> None:
        super().__init__(f"{path}: {'; '.join(problems)}")


class UnknownModel(ModelError):
    def __init__(self, name: str, known: Collection[str]) -> None:
        near = difflib.get_close_matches(name, known) or sorted(known)
        super().__init__(f"no model is called {name!r}; nearest: {', '.join(near) or 'there are none'}")


class NotANetwork(ModelError):
    def __init__(self, name: str, file: str) -> None:
        super().__init__(f"{name} is the data file {file}: it has no session")


class MissingModelFile(ModelError):
    def __init__(self, name: str, path: Path) -> None:
        super().__init__(f"{name}: {path} is missing")


class ChangedModelFile(ModelError):
    def __init__(self, name: str, path: Path, *, expected: str, actual: str) -> None:
        super().__init__(f"{name}: {path} has changed: expected {expected}, got {actual}")


class UnreadableModel(ModelError):
    def __init__(self, name: str, runtime: str, reason: object) -> None:
        super().__init__(f"{name}: {runtime} can't open it: {reason}")


class WrongModelShape(ModelError):
    def __init__(self, name: str, direction: str, *, expected: str, actual: str) -> None:
        super().__init__(f"{name}: its {direction} differ from the manifest's: expected {expected}; got {actual}")


class WrongModel(ModelError):
    def __init__(self, setting: str, *, task: str, known: Collection[str], name: str, why: str) -> None:
        super().__init__(f"{setting}: expected a model for {task} ({', '.join(known)}), got {name}, {why}")


REMEDIES = {
    "cuda": "It needs an NVIDIA GPU with its driver, and onnxruntime-gpu in onnxruntime's place: pip uninstall"
    " onnxruntime, then pip install 'onnxruntime-gpu[cuda,cudnn]'",
    "openvino": "pip install 'visaged[openvino]' installs it",
}
"""By provider."""


class ProviderUnavailable(ModelError):
    def __init__(self, provider: str, reason: object) -> None:
        super().__init__(f"execution provider {provider!r} is not available: {reason}. {REMEDIES[provider]}")


class PrecisionUnavailable(ModelError):
    def __init__(self, precision: str, cpu: str) -> None:
        super().__init__(f"precision {precision!r} is not available: {cpu} can't compute with it. Take precision: f32")


class WrongInput(ModelError):
    def __init__(self, name: str, *, expected: str, actual: str) -> None:
        super().__init__(f"{name}: wrong input: expected {expected}; got {actual}")


class InferenceFailed(ModelError):
    def __init__(self, name: str, reason: object) -> None:
        super().__init__(f"{name}: the run failed: {reason}")
