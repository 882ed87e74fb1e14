"""What is written of a run's end: a result, or an error and whether it is worth another attempt."""

import asyncio
from typing import Any

import pytest

from cluster.artifacts.store import ArtifactNotFound, StoreFull
from cluster.jobs.job import Broken, ClaimedJob, Completed
from configs.schema import TimeoutsConfig
from deployments.errors import Busy, ModelNotFound, ReplicaLost, RunTooLong
from deployments.gateway import Gateway, Route
from deployments.job_work import NOT_READY_PAUSE_S, JobWork, outcome_of
from deployments.runs import JobRun, RunInfo
from pipelines.errors import (
    Cancelled,
    ChecksumMismatch,
    EngineError,
    InputTooLarge,
    InvalidInput,
    ModelLoadError,
    OutOfMemory,
    UnsupportedMedia,
)
from pipelines.tasks.base import TaskRequest
from pipelines.tasks.text_to_speech import TextToSpeechRequest, TextToSpeechResult

TASK = "text-to-speech"
RESULT = TextToSpeechResult(audio="2026/11/24/0/a.wav", duration_s=1.0, sample_rate=16_000)
HEAL = (
    ReplicaLost("The replica died."),
    Cancelled("The replica was told to go."),
)
NOT_READY = (
    (StoreFull("No room."), "InsufficientStorage"),
    (Busy(), "TooManyRequests"),
    (ModelLoadError("The weights are not there yet."), "ModelUnavailable"),
    (ChecksumMismatch("The weights differ."), "ModelUnavailable"),
)
DO_NOT_HEAL = (
    (RunTooLong("It took too long."), "TimeoutException"),
    (InvalidInput("'text' is empty.", "text"), "ArgumentException"),
    (UnsupportedMedia("No audio.", "audio"), "UnsupportedMedia"),
    (InputTooLarge("Too long.", "audio"), "InputTooLarge"),
    (EngineError("The engine failed."), "EngineError"),
    (ArtifactNotFound("There is no such file."), "NotFound"),
    (ModelNotFound("a", TASK, ("b",)), "NotFound"),
)


class Answers:
    """A backend that gives an answer or raises; or never ends."""

    def __init__(self, error: BaseException | None = None, never: bool = False) -> None:
        self.seen: list[tuple[str, TaskRequest[Any], RunInfo]] = []
        self.started = asyncio.Event()
        self._error = error
        self._never = never

    async def run(self, task: str, request: TaskRequest[Any], info: RunInfo) -> Any:
        self.seen.append((task, request, info))
        self.started.set()
        if self._never:
            await asyncio.Event().wait()
        if self._error:
            raise self._error
        return RESULT

    def stream(self, task: str, request: TaskRequest[Any], info: RunInfo) -> Any:
        raise NotImplementedError


def claimed(**fields: Any) -> ClaimedJob:
    values: dict[str, Any] = {
        "id": 7,
        "fence": 2,
        "attempt": 1,
        "owner": "3",
        "task": TASK,
        "model": "tone",
        "priority": 1,
        "request": '{"text":"hello"}',
    }
    return ClaimedJob(**{**values, **fields})


def work_of(backend: Answers, **timeouts: Any) -> JobWork:
    gateway = Gateway((Route("tone", (TASK,), backend),))
    return JobWork(gateway, TimeoutsConfig(**timeouts), "runner-1")


async def broken(error: BaseException, attempt: int = 1) -> Broken:
    outcome = await work_of(Answers(error)).do(claimed(attempt=attempt))
    assert isinstance(outcome, Broken)
    return outcome


async def test_the_stored_request_is_done_for_its_owner() -> None:
    backend = Answers()
    outcome = await work_of(backend).do(claimed())
    assert isinstance(outcome, Completed)
    assert TextToSpeechResult.model_validate_json(outcome.result) == RESULT
    assert outcome.duration_s >= 0
    assert backend.seen == [
        (TASK, TextToSpeechRequest(text="hello"), RunInfo("3", 1, JobRun(7, 2, "runner-1"), limit_s=1_200.0))
    ]


class TestWhatIsTriedAgain:
    @pytest.mark.parametrize("error", HEAL, ids=repr)
    async def test_what_may_heal_after_a_growing_pause(self, error: Exception) -> None:
        first, second = await broken(error, 1), await broken(error, 2)
        assert first.retry_in_s is not None
        assert second.retry_in_s is not None
        assert 0 < first.retry_in_s < second.retry_in_s
        assert (first.message, first.counts) == (str(error), True)

    async def test_too_little_memory_once(self) -> None:
        error = OutOfMemory("2 GB were missing.")
        assert (await broken(error, 1)).retry_in_s is not None
        last = await broken(error, 2)
        assert (last.code, last.message, last.retry_in_s) == ("EngineError", "2 GB were missing.", None)

    @pytest.mark.parametrize("attempt", [1, 3])
    @pytest.mark.parametrize(("error", "code"), NOT_READY, ids=lambda value: repr(value)[:40])
    async def test_a_server_that_is_not_ready_costs_no_attempt(
        self, error: Exception, code: str, attempt: int
    ) -> None:
        outcome = await broken(error, attempt)
        assert outcome == Broken(code, str(error), NOT_READY_PAUSE_S, counts=False)


class TestWhatIsNot:
    @pytest.mark.parametrize(("error", "code"), DO_NOT_HEAL, ids=lambda value: repr(value)[:40])
    async def test_what_would_fail_again(self, error: Exception, code: str) -> None:
        assert await broken(error) == Broken(code, str(error), field=getattr(error, "field", None))

    @pytest.mark.parametrize(
        "error",
        [ValueError("password=secret"), TimeoutError("secret"), KeyError("secret"), OSError("secret")],
    )
    async def test_the_text_of_an_unforeseen_error_stays_in_the_log(
        self, error: Exception, caplog: pytest.LogCaptureFixture
    ) -> None:
        outcome = await broken(error)
        assert outcome == Broken(
            "InternalServerError", "The server failed on this job; its log has the reason."
        )
        assert "secret" in caplog.text

    async def test_a_task_that_this_version_does_not_know(self) -> None:
        outcome = await work_of(Answers()).do(claimed(task="text-to-smell"))
        assert outcome == Broken("NotSupportedException", "This server cannot do text-to-smell any more.")

    @pytest.mark.parametrize("fields", [{"model": "gone"}, {"task": "speech-to-text"}])
    async def test_a_model_that_is_not_configured_any_more(self, fields: dict[str, Any]) -> None:
        outcome = await work_of(Answers()).do(claimed(**fields))
        assert isinstance(outcome, Broken)
        assert (outcome.code, outcome.retry_in_s) == ("NotFound", None)
        assert "not found for" in outcome.message

    @pytest.mark.parametrize("request_json", ["", "{", "{}", '{"text":7}', '{"text":"a","speed":99}'])
    async def test_a_request_of_another_version(self, request_json: str) -> None:
        outcome = await work_of(Answers()).do(claimed(request=request_json))
        assert isinstance(outcome, Broken)
        assert (outcome.code, outcome.retry_in_s) == ("InternalServerError", None)


class TestTheTimeLimit:
    async def test_it_goes_with_the_run(self) -> None:
        backend = Answers()
        await work_of(backend, job_s=7).do(claimed())
        assert backend.seen[0][2].limit_s == 7

    async def test_a_task_may_have_its_own(self) -> None:
        backend = Answers()
        await work_of(backend, job_s=7, job_by_task_s={TASK: 9, "other": 11}).do(claimed())
        assert backend.seen[0][2].limit_s == 9


class TestCancelling:
    async def test_it_has_no_outcome(self) -> None:
        backend = Answers(never=True)
        run = asyncio.create_task(work_of(backend).do(claimed()))
        await backend.started.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run


async def test_a_run_that_became_a_job_is_judged_the_same_way() -> None:
    async def lost() -> TextToSpeechResult:
        raise ReplicaLost("The replica died.")

    outcome = await outcome_of(lost(), attempt=1)
    assert isinstance(outcome, Broken)
    assert (outcome.code, outcome.retry_in_s is None) == ("ServiceUnavailable", False)
