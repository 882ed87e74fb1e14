"""Which model a client of OpenAI's wire format means."""

from typing import Any, TypeVar

from deployments.errors import BadRequest, ModelNotFound
from deployments.forms import Form
from deployments.gateway import Gateway, Route
from pipelines.tasks.base import TaskRequest

RequestT = TypeVar("RequestT", bound=TaskRequest[Any])


def pin_of(form: Form) -> str | None:
    """Give the provider that alone may serve a request, where the client names one (ours).

    Raises:
        BadRequest: it is no text.
    """
    pin = form.fields.get("provider") or None
    if pin is not None and not isinstance(pin, str):
        raise BadRequest("'provider' must be text.", "provider")
    return pin


def pinned(request: RequestT, form: Form) -> RequestT:
    """Give the request with the provider that alone may serve it, where the client names one.

    Raises:
        BadRequest: it is no text.
    """
    return request.model_copy(update={"provider": pin_of(form)})


def find_model(
    gateway: Gateway, task: str, model: str | None, openais: tuple[str, ...], pin: str | None = None
) -> Route:
    """Find the model, or the default one where the name is empty or one of OpenAI's own.

    Args:
        gateway: knows the models.
        task: what is to be done.
        model: as the client calls it.
        openais: how the names of OpenAI's own models begin; whoever sends one means "any that can do it".
        pin: the provider that alone may serve it.

    Raises:
        ModelNotFound: the name is neither configured for the task nor OpenAI's.
        TaskNotServed: nobody is configured for the task.
    """
    try:
        return gateway.resolve(task, model, pin)
    except ModelNotFound:
        if model and model.lower().startswith(openais):
            return gateway.resolve(task)
        raise
