"""The tasks that models solve; a new task is one file here and its name in `TASKS`."""

from typing import Any

from pipelines.tasks.base import Task
from pipelines.tasks.speech_to_text import SPEECH_TO_TEXT
from pipelines.tasks.text_to_speech import TEXT_TO_SPEECH

TASKS: dict[str, Task[Any, Any]] = {task.name: task for task in (SPEECH_TO_TEXT, TEXT_TO_SPEECH)}
