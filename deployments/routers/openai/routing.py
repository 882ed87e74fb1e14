"""Which model a client of OpenAI's wire format means."""

from deployments.errors import ModelNotFound
from deployments.gateway import Gateway, Route


def find_model(gateway: Gateway, task: str, model: str | None, openais: tuple[str, ...]) -> Route:
    """Find the model, or the default one where the name is empty or one of OpenAI's own.

    Args:
        gateway: knows the models.
        task: what is to be done.
        model: as the client calls it.
        openais: how the names of OpenAI's own models begin; whoever sends one means "any that can do it".

    Raises:
        ModelNotFound: the name is neither configured for the task nor OpenAI's.
        TaskNotServed: nobody is configured for the task.
    """
    try:
        return gateway.resolve(task, model)
    except ModelNotFound:
        if model and model.lower().startswith(openais):
            return gateway.resolve(task)
        raise
