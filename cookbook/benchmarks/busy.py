"""How busy a generation keeps the model's server: requests in flight, as a share of those that it may have.

    python cookbook/benchmarks/busy.py [--concurrency 16] [--latency 0.5] [--chunks 1000]

A server on this machine, in a process of its own, speaks OpenAI's protocol and takes the same time for each answer.
Through ``ChatOpenAI``, with every answer kept in a file, ``generate_qa_pairs`` (threads) and ``agenerate_qa_pairs``
(asynchronous) ask it about every chunk. The columns:

- *seconds*: from the first request to the last answer.
- *busy*: requests in flight, integrated over these seconds, by what the concurrency allows. What is missing to 1 is
  what the client, LangChain and we take between an answer and the next request, and the last round, which may not fill
  every place.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from langchain_core.documents import Document
from langchain_openai import ChatOpenAI

from langchain_embedding_adapter import agenerate_qa_pairs, generate_qa_pairs
from langchain_embedding_adapter.tables import aligned


class Server:
    """Takes ``latency`` seconds for each answer, and adds up the requests in flight."""

    def __init__(self, latency: float) -> None:
        self.latency = latency
        self.changes: list[tuple[float, int]] = []

    async def serve(self) -> None:
        """Say the port, and answer until the process is ended."""
        server = await asyncio.start_server(self.connection, "127.0.0.1", 0, backlog=256)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):  # however a client takes its leave
            while head := await reader.readline():
                length = 0
                while (line := await reader.readline()).strip():
                    name, _, value = line.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                await reader.readexactly(length)
                answer = await self.completion() if head.startswith(b"POST") else self.report()
                content = json.dumps(answer).encode()
                writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(content)}\r\n".encode())
                writer.write(b"Content-Type: application/json\r\n\r\n" + content)
                await writer.drain()
        writer.close()

    async def completion(self) -> dict[str, Any]:
        self.changes.append((time.monotonic(), +1))
        await asyncio.sleep(self.latency)
        self.changes.append((time.monotonic(), -1))
        message = {"role": "assistant", "content": "1. How long does it take?\n2. Who has been waiting for it?"}
        return {
            "id": "chat",
            "object": "chat.completion",
            "created": 0,
            "model": "small",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 30, "completion_tokens": 10, "total_tokens": 40},
        }

    def report(self) -> dict[str, Any]:
        """What has been since the last report: calls, seconds from first to last, and the integral between."""
        (first, _), (last, _) = self.changes[0], self.changes[-1]
        calls = sum(change > 0 for _, change in self.changes)
        busy = -sum(moment * change for moment, change in self.changes)  # each request: its end, less its beginning
        self.changes = []
        return {"calls": calls, "seconds": last - first, "in flight": busy}


@contextmanager
def running(latency: float) -> Iterator[int]:
    """The server's port, while it runs in its own process."""
    command = [sys.executable, __file__, "--serve", "--latency", str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 this very file
        assert process.stdout is not None  # noqa: S101
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def measure(way: str, port: int, chunks: int, concurrency: int) -> dict[str, Any]:
    """The row of one way to generate."""
    documents = [Document(f"Fact {number}.") for number in range(chunks)]
    llm = ChatOpenAI(model="small", max_retries=0, base_url=f"http://127.0.0.1:{port}/v1", api_key="any")
    with TemporaryDirectory() as folder:
        settings: dict[str, Any] = {"path": Path(folder) / "pairs.jsonl", "max_concurrency": concurrency}
        if way == "threads":
            generate_qa_pairs(documents, llm, show_progress=False, **settings)
        else:
            asyncio.run(agenerate_qa_pairs(documents, llm, show_progress=False, **settings))
    connection = HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/")
    report = json.loads(connection.getresponse().read())
    connection.close()
    busy = report["in flight"] / (concurrency * report["seconds"])
    return {"way": way, "calls": report["calls"], "seconds": report["seconds"], "busy": busy}


def show(rows: list[dict[str, Any]]) -> str:
    cells = [[row["way"], str(row["calls"]), f"{row['seconds']:.1f}", f"{row['busy']:.3f}"] for row in rows]
    return aligned(["way", "calls", "seconds", "busy"], cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--concurrency", type=int, default=16, help="requests at a time")
    parser.add_argument("--latency", type=float, default=0.5, help="seconds that an answer takes")
    parser.add_argument("--chunks", type=int, default=1000, help="how many chunks are asked about")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(Server(arguments.latency).serve())
        return
    with running(arguments.latency) as port:
        rows = [measure(way, port, arguments.chunks, arguments.concurrency) for way in ("threads", "asynchronous")]
    print(json.dumps(rows) if arguments.json else show(rows))


if __name__ == "__main__":
    main()
