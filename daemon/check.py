"""`visaged check`: builds everything that `visaged run` would, and starts none of it."""

import sys
from collections.abc import Sequence
from pathlib import Path

from daemon.config import Config
from daemon.http.endpoints import answers
from daemon.http.services import services
from models.store import ModelStore
from processors.chain import Chain
from processors.matcher import Matcher
from processors.registry import build_chain


def main(config: Config, path: Path) -> int:
    """Raises ConfigError or ModelError. Which models are for research only the store itself warns of."""
    models = built(config).used
    parts = [
        f"{len(config.streams)} streams",
        f"{len(config.consumers)} consumers",
        f"{len(config.sinks)} sinks",
        f"{len(services(config.http.liveness_module)) if config.http else 0} services",
        f"{len(models)} models",
    ]
    if research := [manifest.name for manifest in models if manifest.use == "research-only"]:
        parts.append(f"{len(research)} of them for research only")
    sys.stdout.write(f"{path}: ok, {', '.join(parts)}\n")
    return 0


def built(config: Config) -> ModelStore:
    """The models, after the chains of all streams, consumers and services have taken theirs."""
    models = ModelStore(config.models.directory, config.models.provider)

    def chain(names: Sequence[str]) -> Chain:
        return build_chain(names, config.processor_settings(), models)

    for stream in (*config.streams.values(), *config.consumers.values()):
        chain(stream.chain)
    if config.http is not None:
        for service in services(config.http.liveness_module).values():
            list(answers(service, chain, lambda: Matcher(models), config.http))
    return models
