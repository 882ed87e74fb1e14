"""The tasks that models solve; a new task is one file here and its name in `TASKS`."""

from typing import Any

from pipelines.tasks.base import Task
from pipelines.tasks.chat import CHAT
from pipelines.tasks.embedding import EMBEDDING
from pipelines.tasks.image_to_image import IMAGE_TO_IMAGE
from pipelines.tasks.image_to_text import IMAGE_TO_TEXT
from pipelines.tasks.image_upscale import IMAGE_UPSCALE
from pipelines.tasks.image_with_mask import IMAGE_WITH_MASK
from pipelines.tasks.speech_to_text import SPEECH_TO_TEXT
from pipelines.tasks.text_to_image import TEXT_TO_IMAGE
from pipelines.tasks.text_to_speech import TEXT_TO_SPEECH

_ALL = (
    TEXT_TO_IMAGE,
    IMAGE_TO_IMAGE,
    IMAGE_WITH_MASK,
    IMAGE_UPSCALE,
    IMAGE_TO_TEXT,
    SPEECH_TO_TEXT,
    TEXT_TO_SPEECH,
    CHAT,
    EMBEDDING,
)
TASKS: dict[str, Task[Any, Any]] = {task.name: task for task in _ALL}
