"""A provider that answers at once, or after a while: ``… chat_upstream PORT SECONDS``.

Written on bare asyncio, because what it costs is part of every figure.
"""

import asyncio
import json
import sys
from functools import partial

import uvloop

from pipelines.tasks.base import Usage
from pipelines.tasks.chat_shapes import ChatDelta, ChunkWriter

WORDS = 20
_USAGE = Usage(prompt_tokens=10, completion_tokens=WORDS)


def _completion() -> bytes:
    message = {"role": "assistant", "content": "hello " * WORDS}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    body = json.dumps(ChunkWriter("bench").completion([choice], _USAGE)).encode()
    return _head("application/json", f"Content-Length: {len(body)}") + body


def _chunks() -> list[bytes]:
    writer = ChunkWriter("bench")
    deltas = [ChatDelta({"role": "assistant", "content": ""}), *[ChatDelta({"content": "hello "})] * WORDS]
    events = [*map(writer.chunk, deltas), writer.chunk(ChatDelta(finish_reason="stop"))]
    lines = [b"data: " + event + b"\n\n" for event in (*events, writer.usage_chunk(_USAGE), b"[DONE]")]
    return [b"%x\r\n%b\r\n" % (len(line), line) for line in lines] + [b"0\r\n\r\n"]


def _head(kind: str, length: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{length}\r\n\r\n".encode()


_WHOLE = _completion()
_STREAM = [_head("text/event-stream", "Transfer-Encoding: chunked"), *_chunks()]


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            body = await reader.readexactly(int(length or 0))
            await asyncio.sleep(delay_s)
            for piece in _STREAM if b'"stream":true' in body.replace(b" ", b"") else (_WHOLE,):
                writer.write(piece)
                await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _serve(port: int, delay_s: float) -> None:
    server = await asyncio.start_server(partial(_answer, delay_s=delay_s), "127.0.0.1", port)
    print("listening", flush=True)  # whoever started it waits for this
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
