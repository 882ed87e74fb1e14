"""The base of every section of the configuration."""

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """Base of all sections: frozen, and a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
