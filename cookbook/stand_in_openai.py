"""A server on this machine that speaks OpenAI's protocol, so that a notebook runs without a key, a network or a bill.

WordLlama embeds, and in the chat model's place our own questions about Python's language reference answer. The clients
are the real ones: with ``OPENAI_BASE_URL`` they find it, without they would find OpenAI.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from langchain_embedding_adapter import WordLlamaEmbeddings
from langchain_embedding_adapter.demo.language_reference import LanguageReference


class StandInOpenAI:
    """The server; it runs until the program ends.

    Args:
        reference: The collection that it is asked about.

    Attributes:
        url: What a client takes for its base.
        counts: How many texts were embedded and how many chats answered.
    """

    def __init__(self, reference: LanguageReference) -> None:
        self.counts: Counter[str] = Counter()
        self._dataset = reference.dataset
        self._embeddings = WordLlamaEmbeddings()
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                answer = stand_in.embed(body) if "input" in body else stand_in.chat(body)
                content = json.dumps({"model": body["model"], **answer}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_port}/v1"

    def embed(self, body: dict[str, Any]) -> dict[str, Any]:
        """A vector for each text."""
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        self.counts["texts embedded"] += len(texts)
        vectors = self._embeddings.embed_documents(texts)
        data = [{"object": "embedding", "index": row, "embedding": vector} for row, vector in enumerate(vectors)]
        return {"object": "list", "data": data, "usage": {"prompt_tokens": 0, "total_tokens": 0}}

    def chat(self, body: dict[str, Any]) -> dict[str, Any]:
        """Our questions about the passage that the prompt holds, numbered as chat models do."""
        self.counts["chats answered"] += 1
        prompt, dataset = str(body["messages"][-1]["content"]), self._dataset
        found = [
            text for key, text in dataset.queries.items() if dataset.corpus[dataset.relevant_docs[key][0]] in prompt
        ]
        content = "Here are the questions:\n" + "\n".join(f"{number}. {text}" for number, text in enumerate(found, 1))
        message = {"role": "assistant", "content": content}
        return {
            "id": "chat",
            "object": "chat.completion",
            "created": 0,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": len(prompt) // 4, "completion_tokens": len(content) // 4, "total_tokens": 0},
        }
