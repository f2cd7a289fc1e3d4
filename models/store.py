"""The models of a folder, by name: each file is checked before it is used, each network opened once."""

import hashlib
import logging
import threading
from pathlib import Path
from typing import Literal

from models.errors import ChangedModelFile, MissingModelFile, NotANetwork, UnknownModel
from models.manifest import Manifest, read_manifest
from models.measurements import Measurements
from models.network import Precision
from models.session import Provider, Session

log = logging.getLogger(__name__)

FileState = Literal["ok", "missing", "changed"]


class ModelStore:
    """`directory` holds manifests/NAME.yaml and files/; the default is the package's own. Safe to use from threads.

    `measurements` is the file in which "auto" keeps how fast each network is on this CPU; None: it is not kept.
    """

    def __init__(
        self,
        directory: Path | None = None,
        provider: Provider = "cpu",
        precision: Precision = "f32",
        measurements: Path | None = None,
    ) -> None:
        directory = directory or Path(__file__).parent
        self._manifests = directory / "manifests"
        self._files = directory / "files"
        self._provider: Provider = provider
        self._precision: Precision = precision
        self._measurements = Measurements(measurements)
        self._sessions: dict[str, Session] = {}
        self._used: dict[str, Manifest] = {}
        self._opening = threading.Lock()

    def manifests(self) -> list[Manifest]:
        return [read_manifest(path) for path in sorted(self._manifests.glob("*.yaml"))]

    def manifest(self, name: str) -> Manifest:
        try:
            return read_manifest(self._manifests / f"{name}.yaml")
        except FileNotFoundError as err:
            raise UnknownModel(name, [path.stem for path in self._manifests.glob("*.yaml")]) from err

    @property
    def used(self) -> list[Manifest]:
        """Of the models that were asked for, in the order in which they first were."""
        return list(self._used.values())

    def path(self, name: str) -> Path:
        """The model's file, which has the manifest's hash; else MissingModelFile or ChangedModelFile."""
        manifest = self.manifest(name)
        path = self._checked(manifest)
        if name not in self._used:
            self._used[name] = manifest
            if manifest.use == "research-only":
                log.warning("%s: for research only; its training data: %s", name, manifest.training_data)
        return path

    def _checked(self, manifest: Manifest) -> Path:
        path = self._files / manifest.file
        try:
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError as err:
            raise MissingModelFile(manifest.name, path) from err
        if sha256 != manifest.sha256:
            raise ChangedModelFile(
                manifest.name,
                path,
                expected=f"{manifest.bytes} bytes with sha256 {manifest.sha256}",
                actual=f"{path.stat().st_size} bytes with sha256 {sha256}",
            )
        return path

    def check(self, name: str) -> FileState:
        try:
            self._checked(self.manifest(name))
        except MissingModelFile:
            return "missing"
        except ChangedModelFile:
            return "changed"
        return "ok"

    def session(self, name: str) -> Session:
        """Opened on the first call, the same one after that."""
        with self._opening:
            if name not in self._sessions:
                manifest = self.manifest(name)
                if not manifest.is_network:
                    raise NotANetwork(name, manifest.file)
                self._sessions[name] = Session(
                    manifest, self.path(name), self._provider, self._precision, self._measurements
                )
            return self._sessions[name]
