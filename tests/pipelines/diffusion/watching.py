"""What is to be seen of the engine while it works, and means to hold it at a certain point."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

from torch import nn
from torch.nn.modules.module import register_module_forward_hook

from pipelines.diffusion.pipeline import DiffusionPipeline
from pipelines.tasks.drawing import DrawRequest
from tests.fakes import FolderWorkspace
from tests.pipelines.diffusion.engines import Drawings, drawings

PATIENCE_S = 30
"""A test that waits so long has failed."""


class Calls:
    """The calls of diffusers' pipelines, which do their work all the same."""

    def __init__(self) -> None:
        self.pipes: list[Any] = []
        self.arguments: list[dict[str, Any]] = []
        self.tiled: list[bool] = []
        self.at_once = 0
        """How many have ever run at the same time."""
        self._running = 0
        self._lock = threading.Lock()
        self._entered, self._open = threading.Event(), threading.Event()
        self._open.set()

    def watched(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a pipeline's call."""

        @wraps(call)
        def watched(pipe: Any, **arguments: Any) -> Any:
            self._note(pipe, arguments)
            self._entered.set()
            assert self._open.wait(PATIENCE_S)
            try:
                return call(pipe, **arguments)
            finally:
                with self._lock:
                    self._running -= 1

        return watched

    @property
    def batches(self) -> list[int]:
        """How many pictures each call was for."""
        return [len(arguments["generator"]) for arguments in self.arguments]

    @contextmanager
    def held(self, occupy: Callable[[], object]) -> Iterator[None]:
        """Let the block happen while a call that `occupy` brings about is under way."""
        self._entered.clear()
        self._open.clear()
        try:
            occupy()
            assert self._entered.wait(PATIENCE_S)
            yield
        finally:
            self._open.set()

    def _note(self, pipe: Any, arguments: dict[str, Any]) -> None:
        with self._lock:
            self._running += 1
            self.at_once = max(self.at_once, self._running)
            self.pipes.append(pipe)
            self.arguments.append(arguments)
            self.tiled.append(pipe.vae.use_tiling)


class Callers:
    """Requests that are made at the same time, each by a thread of its own."""

    def __init__(self, folder: Path, pipeline: DiffusionPipeline) -> None:
        self._folder = folder
        self._pipeline = pipeline
        self._pool = ThreadPoolExecutor(16)

    def submit(self, request: DrawRequest, workspace: FolderWorkspace | None = None) -> Future[Drawings]:
        """Make a request; goes on when it waits for its turn."""
        waiting = WaitingWorkspace(self._folder) if workspace is None else workspace
        made = self._pool.submit(drawings, self._pipeline, request, waiting)
        if isinstance(waiting, WaitingWorkspace):
            assert waiting.waits.wait(PATIENCE_S)
        return made


class WaitingWorkspace(FolderWorkspace):
    """Tells when its run waits for the engine, which it does while it asks whether it should stop."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.waits = threading.Event()

    def check_cancelled(self) -> None:
        """Tell that the run waits; raise `Cancelled` if it should not."""
        self.waits.set()
        super().check_cancelled()


@contextmanager
def forwards_of(
    kind: type[Any], on_forward: Callable[[int], None] = lambda number: None
) -> Iterator[list[Any]]:
    """Collect what a kind of model gives while the block runs; `on_forward` gets the number of each."""
    seen: list[Any] = []

    def hook(module: nn.Module, arguments: Any, output: Any) -> None:
        if isinstance(module, kind):
            seen.append(output)
            on_forward(len(seen))

    handle = register_module_forward_hook(hook)
    try:
        yield seen
    finally:
        handle.remove()
