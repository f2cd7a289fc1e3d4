"""The models that a configuration names."""

from daemon.config.model import Config
from models.store import ModelStore

MEASUREMENTS = "runtimes.csv"
"""In `state_dir`."""


def model_store(config: Config) -> ModelStore:
    models = config.models
    measurements = None if config.state_dir is None else config.state_dir / MEASUREMENTS
    return ModelStore(models.directory, models.provider, models.precision, measurements)
