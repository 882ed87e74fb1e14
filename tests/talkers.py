"""A provider on 127.0.0.1 that speaks OpenAI's format, and never stops talking of its own accord."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from threading import Event, Thread

WORD_S = 0.05
_WORD = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "created": 1741569952,
    "model": "talker",
    "choices": [{"index": 0, "delta": {"content": "and "}, "logprobs": None, "finish_reason": None}],
}


@dataclass(frozen=True)
class Talker:
    """The provider."""

    url: str
    left: "Queue[bool]" = field(default_factory=Queue)
    """Has an item for every stream whose listener has left."""


@contextmanager
def endless_talker() -> Iterator[Talker]:
    """Talk for the block."""
    closing = Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            model = {"id": "talker", "object": "model", "created": 1686935002, "owned_by": "nobody"}
            body = json.dumps({"object": "list", "data": [model]}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            try:
                while not closing.wait(WORD_S):
                    self.wfile.write(b"data: " + json.dumps(_WORD).encode() + b"\n\n")
            except ConnectionError:
                talker.left.put(True)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    talker = Talker(f"http://127.0.0.1:{server.server_port}/v1")
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield talker
    finally:
        closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
