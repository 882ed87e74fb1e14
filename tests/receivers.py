"""Receives webhooks on 127.0.0.1."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from standardwebhooks import Webhook


@dataclass(frozen=True)
class Received:
    """One webhook."""

    message_id: str
    body: dict[str, Any]


@contextmanager
def webhook_receiver(secret: str | None = None) -> Iterator[tuple[str, list[Received]]]:
    """Receive for the block: give the URL, and the list of what came; with a secret, only what it signed."""
    received: list[Received] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if secret is not None:
                Webhook(secret).verify(body, dict(self.headers.items()))
            received.append(Received(self.headers["webhook-id"], json.loads(body)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    receiver = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=receiver.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{receiver.server_port}/", received
    finally:
        receiver.shutdown()
        receiver.server_close()
        thread.join()
