"""`ai-server jobs`, against a small HTTP server that answers in the shapes of `job_views`."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from typer.testing import CliRunner, Result

from deployments.cli import jobs
from deployments.cli.main import app
from deployments.routers.aiserver.responses import ArtifactItem, TextItem
from deployments.routers.job_views import AttemptView, DeliveryView, JobDetails, JobPage, JobView

SEEN = {
    "job_id": 7,
    "ref_id": "order-7",
    "api_key_id": "0",
    "task": "speech-to-text",
    "model": "whisper-base",
    "state": "Started",
    "priority": 0,
    "attempts": 1,
    "dead_letter": False,
    "progress": 0.4,
    "created_date": "2026-11-24T18:58:12.132Z",
}
FAULT = {"errorCode": "EngineError", "message": "Job failed: no speech"}


def view(**changes: Any) -> JobView:
    return JobView.model_validate({**SEEN, **changes})


def details(**changes: Any) -> JobDetails:
    return JobDetails.model_validate({**SEEN, "history": (), "deliveries": (), **changes})


def wire(model: BaseModel) -> str:
    return json.dumps(model.model_dump(mode="json", by_alias=True, exclude_none=True), ensure_ascii=False)


def stream(*views: JobView) -> str:
    return ": keep-alive\n\n" + "".join(f"data: {wire(each)}\n\n" for each in views)


def problem(message: str) -> str:
    return json.dumps({"responseStatus": {"errorCode": "Conflict", "message": message}})


class Server:
    """Answers each request with the next of the answers that stand under its method and path."""

    def __init__(self) -> None:
        self.answers: dict[str, list[tuple[int, str]]] = {}
        self.asked: list[str] = []
        self.keys: set[str | None] = set()

    def on(self, request: str, *answers: BaseModel | str, status: int = 200) -> None:
        texts = [each if isinstance(each, str) else wire(each) for each in answers]
        self.answers.setdefault(request, []).extend((status, text) for text in texts)

    def answer(self, request: str) -> tuple[int, str]:
        self.asked.append(request)
        left = self.answers.get(request)
        return left.pop(0) if left else (404, problem(f"nothing at {request}"))


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    canned = Server()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            canned.keys.add(self.headers["Authorization"])
            status, text = canned.answer(f"{self.command} {self.path}")
            self.send_response(status)
            self.end_headers()  # the body ends with the connection, as a stream does
            self.wfile.write(text.encode())

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815  # the library's names

        def log_message(self, *_: Any) -> None:
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("AI_SERVER_DATA", str(tmp_path))
    monkeypatch.setenv("AI_SERVER_URL", f"http://127.0.0.1:{listener.server_address[1]}")
    monkeypatch.setenv("AI_SERVER_API_KEY", "ak-test")
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr(jobs, "LOOK_AGAIN_S", 0.0)
    yield canned
    listener.shutdown()
    thread.join()
    listener.server_close()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["jobs", *arguments])


def rows(result: Result) -> list[list[str]]:
    lines = [line for line in result.stdout.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


class TestList:
    def test_it_shows_the_newest_jobs(self, server: Server) -> None:
        failed = view(
            job_id=6, state="Failed", dead_letter=True, attempts=3, tag="[b]", response_status=FAULT
        )
        server.on("GET /jobs?limit=51", JobPage(jobs=(view(), failed)))
        result = run("list")
        work = ["speech-to-text", "whisper-base", "40%"]
        assert rows(result) == [
            ["7", "0", "Started", *work, "1", "2026-11-24 18:58:12Z", "", ""],
            [
                "6",
                "0",
                "Failed (dead letter)",
                *work,
                "3",
                "2026-11-24 18:58:12Z",
                "[b]",
                "Job failed: no speech",
            ],
        ]
        assert server.keys == {"Bearer ak-test"}

    def test_every_filter_reaches_the_server(self, server: Server) -> None:
        filters = "state=Failed&task=crop-image&tag=a+b&deadLetter=true&all=true"
        server.on(f"GET /jobs?{filters}&limit=4", JobPage(jobs=()))
        options = ("--state", "failed", "--task", "crop-image", "--tag", "a b", "--dead", "--all")
        result = run("list", *options, "--limit", "3")
        assert (result.exit_code, rows(result)) == (0, [])

    def test_it_says_when_there_are_more(self, server: Server) -> None:
        server.on("GET /jobs?limit=2", JobPage(jobs=(view(), view(job_id=6)), next="bmV4dA"))
        result = run("list", "--limit", "1")
        assert [row[0] for row in rows(result)] == ["7"]
        assert "There are more: --limit 2" in result.stdout

    def test_a_high_limit_takes_several_pages(self, server: Server) -> None:
        server.on("GET /jobs?limit=200", JobPage(jobs=(view(),), next="bmV4dA"))
        server.on("GET /jobs?cursor=bmV4dA&limit=51", JobPage(jobs=(view(job_id=6),)))
        result = run("list", "--limit", "250")
        assert [row[0] for row in rows(result)] == ["7", "6"]
        assert "more" not in result.stdout

    def test_a_tag_does_not_move_the_cursor(self, server: Server) -> None:
        server.on("GET /jobs?limit=51", JobPage(jobs=(view(tag="\x1b[2Jx"),)))
        assert rows(run("list"))[0][8] == "\N{REPLACEMENT CHARACTER}[2Jx"

    def test_the_servers_words_end_the_command(self, server: Server) -> None:
        server.on("GET /jobs?all=true&limit=51", problem("Only the admin key"), status=403)
        result = run("list", "--all")
        assert result.exit_code == 1
        assert "403" in result.stderr
        assert "Only the admin key" in result.stderr


class TestShow:
    def test_it_shows_everything(self, server: Server) -> None:
        attempt = AttemptView(
            attempt=1, started_date=None, ended_date="2026-11-24T19:00:00Z", error_code="Lost", message="gone"
        )
        delivery = DeliveryView(
            message_id="msg_1",
            url="https://client.example/hook",
            attempt=1,
            sent_date="2026-11-24T19:01:00Z",
            duration_ms=12,
            status=None,
            error="refused",
        )
        job = details(
            state="Failed",
            dead_letter=True,
            response_status=FAULT,
            reply_to="https://client.example/hook",
            client_state="[red]",
            history=(attempt,),
            deliveries=(delivery,),
            next_delivery_date="2026-11-24T19:02:00Z",
        )
        server.on("GET /jobs/7", job)
        lines = run("show", "7").stdout.splitlines()
        facts = {line[:24].strip(): line[24:] for line in lines}
        assert (
            facts.items()
            >= {
                "job id": "7",
                "ref id": "order-7",
                "state": "Failed",
                "dead letter": "yes",
                "progress": "40%",
                "client state": "[red]",
                "response status": "EngineError: Job failed: no speech",
                "next delivery date": "2026-11-24T19:02:00Z",
            }.items()
        )
        text = "\n".join(lines)
        assert "None" not in text
        for expected in ("failed attempts", "Lost", "gone", "deliveries", "msg_1", "refused"):
            assert expected in text

    def test_results_are_listed(self, server: Server) -> None:
        server.on("GET /jobs/7", details(state="Completed", results=(TextItem(text="[b]hello"),)))
        assert f"{'result':24}[b]hello" in run("show", "7").stdout.splitlines()

    def test_an_unknown_job_is_the_servers_to_name(self, server: Server) -> None:
        server.on("GET /jobs/8", problem("Job not found"), status=404)
        result = run("show", "8")
        assert (result.exit_code, "Job not found" in result.stderr) == (1, True)


class TestWatch:
    def test_a_completed_job_gives_its_files(self, server: Server) -> None:
        item = ArtifactItem(url="http://h/artifacts/a.wav", file_name="a.wav", provider="ai-server")
        server.on("GET /jobs/7", details(state="Queued", queue_position=3))
        server.on(
            "GET /jobs/7/events",
            stream(
                view(step="50 of 100", estimated_seconds_left=3.2),
                view(state="Completed", progress=1, results=(item,)),
            ),
        )
        result = run("watch", "7")
        assert (result.exit_code, result.stdout) == (0, "http://h/artifacts/a.wav\n")
        assert "7: Completed" in result.stderr

    def test_a_text_may_contain_what_looks_like_the_end_of_a_line(self, server: Server) -> None:
        text = "one\u2028two\x85three"
        server.on("GET /jobs/7", details())
        server.on("GET /jobs/7/events", stream(view(state="Completed", results=(TextItem(text=text),))))
        assert run("watch", "7").stdout == "one\u2028two\N{REPLACEMENT CHARACTER}three\n"

    @pytest.mark.parametrize("state", ["Failed", "Cancelled"])
    def test_any_other_end_is_a_failure_with_the_reason(self, server: Server, state: str) -> None:
        server.on("GET /jobs/7", details())
        server.on("GET /jobs/7/events", stream(view(state=state, response_status=FAULT)))
        result = run("watch", "7")
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.endswith("Job failed: no speech\n")

    def test_a_job_that_has_ended_is_not_followed(self, server: Server) -> None:
        server.on("GET /jobs/7", details(state="Completed", results=(TextItem(text="hello"),)))
        assert run("watch", "7").stdout == "hello\n"
        assert server.asked == ["GET /jobs/7"]

    def test_a_stream_that_breaks_is_opened_again(self, server: Server) -> None:
        server.on("GET /jobs/7", details(), details())
        ended = stream(view(state="Completed", results=(TextItem(text="hello"),)))
        server.on("GET /jobs/7/events", stream(view()) + "data: {", ended)
        result = run("watch", "7")
        assert (result.exit_code, result.stdout) == (0, "hello\n")
        assert server.asked == ["GET /jobs/7", "GET /jobs/7/events"] * 2

    def test_an_error_within_the_stream_ends_it(self, server: Server) -> None:
        server.on("GET /jobs/7", details())
        server.on("GET /jobs/7/events", f"event: error\ndata: {problem('The job store went away')}\n\n")
        result = run("watch", "7")
        assert (result.exit_code, "The job store went away" in result.stderr) == (1, True)

    def test_a_stream_that_is_refused_ends_it(self, server: Server) -> None:
        server.on("GET /jobs/7", details())
        server.on("GET /jobs/7/events", problem("Try again"), status=503)
        result = run("watch", "7")
        assert result.exit_code == 1
        assert "GET /jobs/7/events: 503" in result.stderr
        assert "Try again" in result.stderr

    def test_it_says_what_a_job_waits_for(self) -> None:
        assert jobs._detail({"queuePosition": 1000, "estimatedSecondsLeft": 12.4}) == (
            "1000+ before it, about 12 s left"
        )
        assert jobs._detail({"step": "50 of 100"}) == "50 of 100"
        assert jobs._detail({}) == ""


class TestActions:
    def test_cancel_says_how_each_job_is(self, server: Server) -> None:
        server.on("DELETE /jobs/7", details(state="Cancelled"))
        server.on("DELETE /jobs/8", details(job_id=8, state="Cancelled"))
        result = run("cancel", "7", "8")
        assert (result.exit_code, result.stdout) == (0, "7: Cancelled\n8: Cancelled\n")

    def test_a_job_that_cannot_be_cancelled_spares_not_the_others(self, server: Server) -> None:
        server.on("DELETE /jobs/7", problem("The job is Completed"), status=409)
        server.on("DELETE /jobs/8", details(job_id=8, state="Cancelled"))
        result = run("cancel", "7", "8")
        assert (result.exit_code, result.stdout) == (1, "8: Cancelled\n")
        assert "The job is Completed" in result.stderr

    def test_requeue_takes_ids(self, server: Server) -> None:
        server.on("POST /jobs/7/requeue", details(state="Queued"))
        assert run("requeue", "7").stdout == "7: Queued\n"

    def test_requeue_takes_all_dead_letters_page_by_page(self, server: Server) -> None:
        first = JobPage(jobs=(view(job_id=9), view(job_id=8)), next="bmV4dA")
        server.on("GET /jobs?deadLetter=true&limit=200", first)
        server.on("GET /jobs?deadLetter=true&cursor=bmV4dA&limit=200", JobPage(jobs=(view(),)))
        for job_id in (9, 8, 7):
            server.on(f"POST /jobs/{job_id}/requeue", details(job_id=job_id, state="Queued"))
        result = run("requeue", "--dead")
        assert (result.exit_code, result.stdout) == (0, "9: Queued\n8: Queued\n7: Queued\n")

    def test_without_dead_letters_it_says_so(self, server: Server) -> None:
        server.on("GET /jobs?deadLetter=true&limit=200", JobPage(jobs=()))
        assert run("requeue", "--dead").stdout == "There are no dead letters.\n"

    @pytest.mark.parametrize("arguments", [[], ["7", "--dead"]])
    def test_requeue_wants_either_ids_or_dead(self, server: Server, arguments: list[str]) -> None:
        assert run("requeue", *arguments).exit_code == 2
        assert server.asked == []

    def test_replay_says_where_the_webhook_goes(self, server: Server) -> None:
        server.on("POST /jobs/7/webhook", details(reply_to="https://client.example/hook"))
        assert run("replay", "7").stdout == "7: the webhook goes to https://client.example/hook once more.\n"

    def test_a_server_that_is_away_is_named_once(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            monkeypatch.setenv("AI_SERVER_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")
            result = run("cancel", "7", "8")
        assert result.exit_code == 1
        assert result.stderr.count("Start the server with `make run`") == 1
