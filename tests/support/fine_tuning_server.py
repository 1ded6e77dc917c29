"""A server of `/files` and `/fine_tuning/jobs` for tests, which checks uploads as OpenAI's documentation describes.

Written from the documentation, independently of the code that writes the files.
"""

import json
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from support.upstream import Message, Receive, ScriptedReply, Send, Upstream, error_reply

MAX_TOKENS_PER_EXAMPLE = 65_536


def find_training_problems(data: bytes) -> list[str]:
    """Return what OpenAI's documentation does not allow in a chat training file: each problem with its line."""
    problems = []
    text = data.decode("utf-8")  # an error if it is another encoding
    lines = text.split("\n")
    if lines[-1] != "":
        problems.append("the last line has no end")
    rows = lines[:-1]
    if len(rows) < 10:
        problems.append(f"{len(rows)} lines; 10 at least")
    for number, row in enumerate(rows, 1):
        problems += [f"line {number}: {problem}" for problem in _find_line_problems(row)]
    return problems


def _find_line_problems(row: str) -> list[str]:
    try:
        example = json.loads(row)
    except ValueError:
        return ["no JSON"]
    if not isinstance(example, dict) or set(example) != {"messages"} or not isinstance(example["messages"], list):
        return ["no list of messages, or other keys"]
    problems = []
    for message in example["messages"]:
        if not isinstance(message, dict) or set(message) - {"role", "content", "name", "weight"}:
            problems.append("unknown keys of a message")
        elif message.get("role") not in ("system", "user", "assistant", "developer"):
            problems.append("unknown role")
        elif not isinstance(message.get("content"), str) or message["content"].strip() == "":
            problems.append("no content")
    roles = [message.get("role") for message in example["messages"] if isinstance(message, dict)]
    if "user" not in roles or roles[-1:] != ["assistant"]:
        problems.append("no user, or the last message is not the assistant's")
    if "system" in roles[1:]:
        problems.append("a system message that is not the first one")
    if len(row) / 3 > MAX_TOKENS_PER_EXAMPLE:  # more than three characters are a token in any language of the tests
        problems.append("too many tokens")
    return problems


class FineTuningServer(Upstream):
    """Files and jobs, besides chat and embeddings."""

    def reset(self) -> None:
        """Reset records and behaviour."""
        super().reset()
        self.files: dict[str, bytes] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str]] = []
        """Method and path of each call for files and jobs."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path = scope["path"]
        if not path.startswith(("/v1/files", "/v1/fine_tuning/")):
            await super().__call__(scope, receive, send)
            return
        received = b""
        while True:
            message = await receive()
            received += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.requests.append((scope["method"], path))
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        reply = self._answer(scope["method"], path, headers, received)
        await self._send_reply(reply, receive, send)

    def finish(self, job_id: str, model: str, trained_tokens: int) -> None:
        """Let a job succeed."""
        self.jobs[job_id].update(status="succeeded", fine_tuned_model=model, trained_tokens=trained_tokens)

    def _answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> ScriptedReply:
        if (method, path) == ("POST", "/v1/files"):
            return self._store_file(headers["content-type"], body)
        if (method, path) == ("POST", "/v1/fine_tuning/jobs"):
            return self._create_job(json.loads(body))
        job_id, _, action = path.removeprefix("/v1/fine_tuning/jobs/").partition("/")
        if job_id not in self.jobs:
            return error_reply(404, "no such job")
        if (method, action) == ("POST", "cancel"):
            self.jobs[job_id]["status"] = "cancelled"
        return ScriptedReply([json.dumps(self.jobs[job_id]).encode()])

    def _store_file(self, content_type: str, body: bytes) -> ScriptedReply:
        message = BytesParser(policy=HTTP).parsebytes(f"content-type: {content_type}\r\n\r\n".encode() + body)
        parts = {part.get_param("name", header="content-disposition"): part for part in message.iter_parts()}
        if parts["purpose"].get_payload(decode=True) != b"fine-tune":
            return error_reply(400, "the purpose is not fine-tune")
        data = parts["file"].get_payload(decode=True)
        assert isinstance(data, bytes)
        file_id = f"file-{len(self.files) + 1}"
        self.files[file_id] = data
        return ScriptedReply([json.dumps({"id": file_id, "object": "file", "purpose": "fine-tune"}).encode()])

    def _create_job(self, body: dict[str, Any]) -> ScriptedReply:
        if set(body) - {"model", "training_file", "validation_file", "method", "suffix", "seed"}:
            return error_reply(400, "unknown parameter")
        problems = find_training_problems(self.files.get(body["training_file"], b""))
        if problems:
            return error_reply(400, "; ".join(problems))
        assert body["method"]["type"] == "supervised"
        assert body["method"]["supervised"]["hyperparameters"]["n_epochs"] >= 1
        job_id = f"ftjob-{len(self.jobs) + 1}"
        self.jobs[job_id] = {
            "id": job_id,
            "object": "fine_tuning.job",
            "model": body["model"],
            "status": "validating_files",
            "fine_tuned_model": None,
            "trained_tokens": None,
            "error": {"code": None, "message": None},
        }
        return ScriptedReply([json.dumps(self.jobs[job_id]).encode()])
