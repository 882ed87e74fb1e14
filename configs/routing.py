"""Who serves a model: our own replicas, somebody's API, or whichever of them can."""

from typing import Any

from pydantic import Field, field_validator

from configs.base import Config


class PriceConfig(Config):
    """What it costs, in US dollars; what is left out costs nothing."""

    input: float = Field(default=0.0, ge=0)
    """A million prompt tokens."""
    output: float = Field(default=0.0, ge=0)
    """A million completion tokens."""
    image: float = Field(default=0.0, ge=0)
    """One picture."""
    audio_minute: float = Field(default=0.0, ge=0)
    """A minute heard or spoken."""
    request: float = Field(default=0.0, ge=0)
    """Every request, whatever it asks for."""


class RoutingConfig(Config):
    """When a candidate is chosen."""

    priority: int = 0
    """The higher goes first; of equal ones the one that is least loaded."""
    weight: float = Field(default=1.0, gt=0)
    """Its share where it stands equal with others."""
    concurrency: int | None = Field(default=None, ge=1)
    """Requests at once from one ingress; what is above goes to the next candidate, or waits."""
    price: PriceConfig | None = None
    """None: the provider's price of this model; our own models cost nothing."""


class ExternalConfig(RoutingConfig):
    """A provider that serves a model, too or alone."""

    provider: str
    """An id of ``providers``."""
    model: str = Field(min_length=1, max_length=300)
    """What the model is called there."""


class ProviderConfig(Config):
    """Somebody's API. It takes part when its key is in the environment of the server's processes."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    """Clients may ask for any of its models as ``id/name``."""
    client: str = Field(default="pipelines.providers.openai:OpenAiProvider", pattern=r"^[\w.]+:\w+$")
    """Dotted path of the class that speaks its wire format; OpenAI's is what most speak."""
    base_url: str = Field(default="", pattern=r"^(https?://[^?#]+)?$")
    """The vendor's documented paths follow it: ``https://api.openai.com/v1``."""
    base_url_env: str | None = None
    """Environment variable that gives the address; where `base_url` is empty, it switches the provider on."""
    key_env: str | None = None
    """Environment variable with the key, which switches the provider on; None: it needs no key."""
    concurrency: int = Field(default=64, ge=1, le=10_000)
    """Requests at once from one ingress for each model of ``models`` that it serves, and for all its other
    models together; also how many jobs of the latter run at once."""
    connect_s: float = Field(default=5.0, gt=0)
    first_byte_s: float = Field(default=55.0, gt=0)
    """Until the answer begins; then the next candidate is asked."""
    silence_s: float = Field(default=60.0, gt=0)
    """Between two pieces of an answer."""
    discover: bool = True
    """Whether its list of models is asked for, so that they are found by their bare names too."""
    prices: dict[str, PriceConfig] = Field(default_factory=dict)
    """Pattern of a model's name there (``gpt-5*``) -> its price; the first that fits counts."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Passed to the client, which validates them."""

    @field_validator("base_url")
    @classmethod
    def _ends_without_slash(cls, url: str) -> str:
        return url.rstrip("/")


class BreakerConfig(Config):
    """When a candidate that fails is left alone for a while."""

    failures: int = Field(default=5, ge=1)
    """In a row."""
    pause_s: float = Field(default=5.0, gt=0)
    """The first pause; each one that follows without a success is twice as long."""
    max_pause_s: float = Field(default=120.0, gt=0)


class FailoverConfig(Config):
    """What happens when a candidate fails before the first byte has reached the client."""

    rounds: int = Field(default=2, ge=1, le=10)
    """How often all candidates are tried."""
    pause_s: float = Field(default=0.3, gt=0)
    """Before the second round, half of it by chance; twice as long before each that follows."""
    max_pause_s: float = Field(default=5.0, gt=0)
    """A candidate that wants to be left alone for longer (``Retry-After``) is not waited for."""
    breaker: BreakerConfig = BreakerConfig()
