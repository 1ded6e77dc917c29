"""A model server to practise with: it speaks OpenAI's API, needs no network, costs nothing, and copies sentences.

    python3 examples/practice_server.py --port 8080 --key practice-key

It is no language model. For each question it picks the sentence of the passages that shares most words with it, and
cites that sentence as semsearch asks for. So everything around a model can be tried: keys, parameters, sessions,
streams, rate limits, usage and prices.
"""

import argparse
import json
import re
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODEL = "practice-1"
_PASSAGE = re.compile(r"^<(\w+)> id: (\S+) source: .*\n((?:\d+: .*\n)+)</\1>$", re.MULTILINE)
_QUESTION = re.compile(r"^Question: (.*)", re.MULTILINE)
_STOP_WORDS = set(
    "a an and are do does for from how i in is it long many much of on the to what when where who".split()
)


class PracticeHandler(BaseHTTPRequestHandler):
    """Answers `/models` and `/chat/completions`."""

    protocol_version = "HTTP/1.1"
    key = ""
    requests_left = 0
    """Of a minute that never ends: the server refuses what is above it."""

    def do_GET(self) -> None:
        """List the models."""
        if self._is_admitted():
            self._send_json(200, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})

    def do_POST(self) -> None:
        """Answer the messages of a chat, as one reply or as a stream."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._is_admitted():
            return
        text = write_reply(request["messages"])
        prompt_tokens = sum(len(message["content"]) for message in request["messages"]) // 4
        usage = {"prompt_tokens": prompt_tokens, "completion_tokens": len(text) // 4 + 1}
        usage["total_tokens"] = sum(usage.values())
        base: dict[str, object] = {"id": "chatcmpl-1", "created": int(time.time()), "model": request["model"]}
        if not request.get("stream"):
            choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            reply: dict[str, object] = {"object": "chat.completion", "choices": [choice], "usage": usage}
            self._send_json(200, {**base, **reply})
            return
        chunks: list[dict[str, object]] = [
            {"index": 0, "delta": {"content": word}, "finish_reason": None} for word in re.findall(r"\S+\s*", text)
        ]
        chunks.append({"index": 0, "delta": {}, "finish_reason": "stop"})
        events = [{**base, "object": "chat.completion.chunk", "choices": [chunk]} for chunk in chunks]
        events.append({**base, "object": "chat.completion.chunk", "choices": [], "usage": usage})
        lines = [f"data: {json.dumps(event)}\n\n" for event in events]
        self._send(200, "text/event-stream", "".join([*lines, "data: [DONE]\n\n"]).encode())

    def _is_admitted(self) -> bool:
        """Return whether the key is right and a request is left; send the error if not."""
        if self.headers.get("Authorization") != f"Bearer {self.key}":
            self._send_json(401, {"error": {"message": "Incorrect API key provided.", "code": "invalid_api_key"}})
            return False
        PracticeHandler.requests_left -= 1
        if PracticeHandler.requests_left < 0:
            self._send_json(429, {"error": {"message": "Rate limit reached.", "code": "rate_limit_exceeded"}})
            return False
        return True

    def _send_json(self, status: int, value: object) -> None:
        self._send(status, "application/json", json.dumps(value).encode())

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("x-ratelimit-limit-requests", "500")
        self.send_header("x-ratelimit-remaining-requests", str(max(0, PracticeHandler.requests_left)))
        self.send_header("x-ratelimit-reset-requests", "1m0s")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Log nothing."""


def write_reply(messages: list[dict[str, str]]) -> str:
    """Return the sentence of the passages that shares most words with the question, with its marker."""
    prompt = messages[-1]["content"]
    if not _PASSAGE.search(prompt):  # a follow-up question that is to be worded again
        return prompt.rpartition("Question to word again: ")[2].strip() or "practice"
    words = read_words(_QUESTION.findall(prompt)[-1])
    sentences = [
        (text, f"[[{passage_id}.{number}]]")
        for _, passage_id, lines in _PASSAGE.findall(prompt)
        for number, text in re.findall(r"^(\d+): (.*)$", lines, re.MULTILINE)
    ]
    text, marker = max(sentences, key=lambda sentence: len(words & read_words(sentence[0])))
    if len(words & read_words(text)) < max(1, len(words) // 2):
        return "NO_ANSWER"
    return f"{text.rstrip('.')} {marker}."


def read_words(text: str) -> set[str]:
    """Return the words of a text that say something, without a plural s."""
    return {word.rstrip("s") for word in re.findall(r"\w+", text.lower())} - _STOP_WORDS


def main() -> None:
    """Serve until the process is stopped."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8080, help="0 is any free port")
    parser.add_argument("--key", default="practice-key", help="the key that clients must send")
    parser.add_argument("--requests", type=int, default=500, help="how many requests it answers before it refuses")
    arguments = parser.parse_args()
    PracticeHandler.key, PracticeHandler.requests_left = arguments.key, arguments.requests
    server = ThreadingHTTPServer(("127.0.0.1", arguments.port), PracticeHandler)
    print(f"http://127.0.0.1:{server.server_port}/v1", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
