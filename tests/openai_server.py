"""A server on this machine that speaks OpenAI's protocol, and fails as real ones do where it is told to.

It answers chat completions with two questions about the passage and embeddings with counted letters. What goes wrong is
decided by a function of what is asked, so that a seed gives the same faults whoever comes first.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

DIMENSIONS = 16

Fault = str
Headers = dict[str, str]


@dataclass(frozen=True)
class Ask:
    """A request, as the function that decides on faults sees it.

    Attributes:
        about: The passage, or the first of the texts to embed.
        attempt: How many requests there were about it before.
        key: The key that came with it.
        model: The model that is asked for.
        answers: How many requests were answered so far.
    """

    about: str
    attempt: int
    key: str
    model: str
    answers: int


Trouble = Callable[[Ask], "Fault | None"]

REFUSALS: dict[Fault, tuple[int, str, Callable[[], Headers]]] = {
    "429, seconds": (429, "rate_limit_exceeded", lambda: {"Retry-After": "1"}),
    "429, a fraction": (429, "rate_limit_exceeded", lambda: {"Retry-After": "0.02"}),
    "429, milliseconds": (429, "rate_limit_exceeded", lambda: {"Retry-After-Ms": "15", "Retry-After": "1"}),
    "429, a date": (
        429,
        "rate_limit_exceeded",
        lambda: {"Retry-After": format_datetime(datetime.now(timezone.utc) + timedelta(seconds=1), usegmt=True)},
    ),
    "429, nothing said": (429, "rate_limit_exceeded", dict),
    "429, a storm": (429, "rate_limit_exceeded", dict),
    "429, half a second": (429, "rate_limit_exceeded", lambda: {"Retry-After": "0.5"}),
    "429, a minute": (429, "rate_limit_exceeded", lambda: {"Retry-After": "60"}),
    "500": (500, "server_error", dict),
    "502": (502, "bad_gateway", dict),
    "503": (503, "overloaded", dict),
    "no such key": (401, "invalid_api_key", dict),
    "no such model": (404, "model_not_found", dict),
    "no money": (429, "insufficient_quota", dict),
    "too long": (400, "context_length_exceeded", dict),
}
"""Faults that are said: status, code and headers."""

GARBLED = ["half of the JSON", "a web page", "no choices", "null choices", "null content", "an empty body"]
"""Faults with status 200 and a body that is none."""

WEIGHTS: dict[Fault, float] = {
    "stalled": 0.3,
    **dict.fromkeys(["429, a fraction", "429, milliseconds", "429, nothing said", "500", "502", "503"], 1),
    **dict.fromkeys(["slow", "reset", "reset in the middle", *GARBLED], 1),
}
"""Faults that pass soon, and how many there are of each beside the others."""

LIGHT = {kind: 1.0 for kind in WEIGHTS if kind not in ("stalled", *GARBLED)}
"""Those that a client's own retries get over, without a wait of seconds."""


def mixed(share: float, kinds: dict[Fault, float] | None = None, *, seed: int = 0) -> Trouble:
    """Faults for a share of the requests: what happens to an attempt depends on the seed and what it is about alone.

    Garbled answers are for the first two attempts: a third would end the patience.
    """
    early = WEIGHTS if kinds is None else kinds
    late = {kind: weight for kind, weight in early.items() if kind not in GARBLED}

    def trouble(ask: Ask) -> Fault | None:
        draw = random.Random(f"{seed} {ask.attempt} {ask.about}")
        if draw.random() >= share:
            return None
        weights = early if ask.attempt < 2 else late
        return draw.choices(list(weights), list(weights.values()))[0]

    return trouble


def stormy(trouble: Trouble, *, after: int, seconds: float) -> Trouble:
    """After so many answers a storm sets in, for a time in which everybody is turned away; else as given."""
    over: list[float] = []

    def storm(ask: Ask) -> Fault | None:
        if ask.answers >= after and not over:
            over.append(time.monotonic() + seconds)
        return "429, a storm" if over and time.monotonic() < over[0] else trouble(ask)

    return storm


class OpenAIServer:
    """The server, running inside its ``with``.

    Args:
        latency: Seconds that an answer takes.
        trouble: What goes wrong, if anything.
        delay: Seconds before the body of a slow answer; a stalled one takes ten times as many and then ends.
        port: Where to listen; any free one by default.

    Attributes:
        requests: Path and body of each.
        arrivals: When each came, by the monotonic clock.
        keys: The keys that came with them.
        faults: How many of each kind there were.
        answered: How often each passage (or first text to embed) was answered with a whole, valid body.
        most: The most requests at a time.
        busy: The integral of the requests in flight over time, in seconds.
    """

    def __init__(
        self, *, latency: float = 0.0, trouble: Trouble | None = None, delay: float = 0.05, port: int = 0
    ) -> None:
        self.latency, self.delay, self.port = latency, delay, port
        self.trouble: Trouble = trouble or (lambda ask: None)
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.arrivals: list[float] = []
        self.keys: set[str] = set()
        self.faults: Counter[Fault] = Counter()
        self.answered: Counter[str] = Counter()
        self.most = 0
        self.busy = 0.0
        self._asked: Counter[str] = Counter()
        self._in_flight = 0
        self._changed = 0.0

    @property
    def url(self) -> str:
        """What a client takes for its base."""
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> OpenAIServer:
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(ready)), daemon=True)
        self._thread.start()
        ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    async def _run(self, ready: threading.Event) -> None:
        """Until it is over; connections that are still open are cancelled with the loop."""
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        listening = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=256)
        self.port = listening.sockets[0].getsockname()[1]
        ready.set()
        await self._over.wait()
        listening.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request after the other."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self._answer(reader, writer):
                pass
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer a request, one way or another; whether the connection is still good."""
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        path = first.split()[1]
        leave = self._enter()
        try:
            self.requests.append((path, body))
            self.arrivals.append(time.monotonic())
            key = headers["authorization"].removeprefix("Bearer ")
            self.keys.add(key)
            about = body["input"][0] if "input" in body else passage_in(body["messages"][-1]["content"])
            ask = Ask(about, self._asked[about], key, body["model"], self.answered.total())
            self._asked[about] += 1
            fault = self.trouble(ask)
            if fault is not None:
                self.faults[fault] += 1
            if self.latency:
                await asyncio.sleep(self.latency)
            answer = embeddings(body) if "input" in body else completion(body)
            good = await self._write(fault, answer, writer, leave)
            if fault in (None, "slow"):
                self.answered[about] += 1
            return good
        finally:
            leave()

    def _enter(self) -> Callable[[], None]:
        """Count a request that has come; what comes back counts that it has been dealt with, once.

        That is before its last byte goes out: whoever gets it may be back before we look again.
        """
        self._count(+1)
        here = [-1]
        return lambda: self._count(here.pop()) if here else None

    async def _write(
        self, fault: Fault | None, answer: dict[str, Any], writer: asyncio.StreamWriter, leave: Callable[[], None]
    ) -> bool:
        status, content, extra = 200, json.dumps(answer).encode(), {"Content-Type": "application/json"}
        if fault in REFUSALS:
            status, code, more = REFUSALS[fault]
            content = json.dumps({"error": {"message": fault, "type": code, "param": None, "code": code}}).encode()
            extra |= more()
        elif fault in GARBLED:
            content = garbled(fault, answer)
            if fault == "a web page":
                extra = {"Content-Type": "text/html"}
        elif fault == "reset":
            leave()
            self._reset(writer)
            return False
        extra["Content-Length"] = str(len(content))
        head = "".join(f"{name}: {value}\r\n" for name, value in extra.items())
        writer.write(f"HTTP/1.1 {status} Status\r\n{head}\r\n".encode())
        if fault == "stalled":  # the other side will not wait so long
            leave()
        if fault in ("slow", "stalled"):
            await asyncio.sleep(self.delay * (10 if fault == "stalled" else 1))
        if fault == "stalled":
            return False
        if fault == "reset in the middle":
            writer.write(content[: len(content) // 2])
            await writer.drain()
            leave()
            self._reset(writer)
            return False
        leave()
        writer.write(content)
        await writer.drain()
        return True

    @staticmethod
    def _reset(writer: asyncio.StreamWriter) -> None:
        """Close without a good-bye: the other side sees a reset, not an end."""
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    def _count(self, change: int) -> None:
        now = time.monotonic()
        self.busy += self._in_flight * (now - self._changed)
        self._in_flight, self._changed = self._in_flight + change, now
        self.most = max(self.most, self._in_flight)


def passage_in(prompt: str) -> str:
    """What the default prompt asks about."""
    found = re.search(r"Passage:\n\n(.*?)\n\nWrite ", prompt, re.DOTALL)
    return found[1] if found else prompt


def completion(body: dict[str, Any]) -> dict[str, Any]:
    """Two questions about the passage's first word."""
    word = passage_in(body["messages"][-1]["content"]).split()[0]
    content = f"Here are the questions:\n1. **What is said of {word}?**\n2. Why is {word} like that?"
    return {
        "id": "chat",
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 30, "completion_tokens": 10, "total_tokens": 40},
    }


def embeddings(body: dict[str, Any]) -> dict[str, Any]:
    """How often each letter occurs in each text."""
    data = [{"object": "embedding", "index": row, "embedding": letters(text)} for row, text in enumerate(body["input"])]
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    return {"object": "list", "data": data, "model": body["model"], "usage": usage}


def letters(text: str) -> list[float]:
    """The vector of a text."""
    return [float(text.count(chr(97 + letter))) + 0.1 for letter in range(DIMENSIONS)]


def garbled(fault: Fault, answer: dict[str, Any]) -> bytes:
    """A body that holds no answer."""
    if fault == "a web page":
        return b"<html><body>Bad gateway, said with status 200</body></html>"
    if fault == "an empty body":
        return b""
    if fault == "half of the JSON":
        whole = json.dumps(answer).encode()
        return whole[: len(whole) // 2]
    if fault == "null content":
        message = {"role": "assistant", "content": None}
        return json.dumps(answer | {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()
    return json.dumps(answer | {"choices": [] if fault == "no choices" else None}).encode()
