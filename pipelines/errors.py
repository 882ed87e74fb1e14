"""What can go wrong while input becomes output; the class says who must act.

    PipelineError
    ├── InvalidInput          the caller: names the field and the fix
    │   ├── UnsupportedMedia  the caller: the file is not what the task takes, or is damaged
    │   ├── InputTooLarge     the caller: over a limit that the message names
    │   ├── BeyondModel       the caller: this model cannot do it; another one may
    │   └── ContentWithheld   the caller: the content check lets nobody see what came out
    ├── Cancelled             nobody: the run was asked to stop
    ├── ModelLoadError        the operator: the message names the remedy
    │   ├── SourceNotFound    the operator: no listed source has the weights
    │   └── ChecksumMismatch  the operator: the weights are not the ones that the configuration names
    ├── EngineError           us: the engine failed on input that was fine
    │   └── OutOfMemory       nobody: it may go well when less runs beside it
    └── ProviderError         somebody's API did not do it
        ├── ProviderRefused   the caller: the API says that the request itself is at fault
        └── ProviderFailed    another candidate may do better
            ├── ProviderBusy      it wants us to slow down
            │   └── ProviderOverloaded   it has too much to do for everybody
            ├── ProviderDenied    the operator: the key or the account is not accepted there
            └── ProviderLacks     the caller or the operator: the model is not known, or not open to us, there

Every class takes its arguments positionally into ``args``, so that it survives the pickling
between Ray processes.
"""


class PipelineError(Exception):
    """Base of everything that a pipeline raises on purpose."""

    def __init__(self, message: str, field: str | None = None) -> None:
        """Keep the message for people and the request's field (snake_case) that it is about."""
        super().__init__(message, field)
        self.message = message
        self.field = field

    def __str__(self) -> str:
        return self.message


class InvalidInput(PipelineError):
    """The request cannot be done as it was asked."""


class UnsupportedMedia(InvalidInput):
    """The file is of another kind than the task takes, or is damaged."""


class InputTooLarge(InvalidInput):
    """The input is over a limit."""


class BeyondModel(InvalidInput):
    """The request is sound, but this model, or its provider's wire format, cannot do it."""


class ContentWithheld(InvalidInput):
    """The content check withheld every picture."""


class Cancelled(PipelineError):
    """The run was asked to stop and did."""


class ModelLoadError(PipelineError):
    """The model cannot be served until the operator acts."""


class SourceNotFound(ModelLoadError):
    """None of the listed sources has the weights."""


class ChecksumMismatch(ModelLoadError):
    """The weights differ from those that the configuration names."""


class EngineError(PipelineError):
    """The engine failed although the input was fine."""


class OutOfMemory(EngineError):
    """The run needed more memory than there was."""


class ProviderError(PipelineError):
    """Somebody's API did not do what it was asked; the message names the provider and never its key."""


class ProviderRefused(ProviderError):
    """The request itself is at fault, says the API: another candidate would refuse it too."""

    def __init__(self, message: str, field: str | None = None, status: int = 400, code: str = "") -> None:
        """Keep the API's status (4xx) and its own code for the fault, where it gives one."""
        super().__init__(message, field)
        self.args = (message, field, status, code)
        self.status = status
        self.code = code or "ProviderRefused"


class ProviderFailed(ProviderError):
    """The API could not be reached, broke off, took too long, or failed."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        """Keep when the API wants to be asked again, where it says so."""
        super().__init__(message)
        self.args = (message, retry_after_s)
        self.retry_after_s = retry_after_s


class ProviderBusy(ProviderFailed):
    """The API limits our rate."""


class ProviderOverloaded(ProviderBusy):
    """The API has too much to do, whoever asks."""


class ProviderDenied(ProviderFailed):
    """The API does not accept our key, or our account is spent."""


class ProviderLacks(ProviderFailed):
    """The API does not know the model, or does not serve it to us."""
