"""The base of what is read from YAML, wherever in the packages it stands: sections of settings, models' manifests."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Refuses keys that it does not know, and stays as it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True)
