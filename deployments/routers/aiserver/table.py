"""All operations of AI Server's format; a new one is an entry in a table beside this."""

from deployments.routers.aiserver.operation import AnyOperation
from deployments.routers.aiserver.pictures import PICTURES
from deployments.routers.aiserver.sound import SOUND
from deployments.routers.aiserver.speech import SPEECH
from deployments.routers.aiserver.transforms import TRANSFORM_OPERATIONS
from deployments.routers.aiserver.video import VIDEO

OPERATIONS: tuple[AnyOperation, ...] = (*PICTURES, *SPEECH, *TRANSFORM_OPERATIONS, *VIDEO, *SOUND)
OPERATION_OF = {operation.task: operation for operation in OPERATIONS}
"""By the task that a job keeps."""
