"""Answer questions about a folder in a FastAPI app of your own: uvicorn --app-dir examples fastapi_app:app."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel

import semsearch

HANDBOOK = Path(__file__).parent / "handbook"


class Reply(BaseModel):
    """An answer, or its reason to be empty, with the quotes that it rests on."""

    text: str
    reason: str | None
    quotes: dict[str, str]


@asynccontextmanager
async def open_handbook(app: FastAPI) -> AsyncIterator[None]:
    """Open the collection once, and bring it up to date, before the first request."""
    with semsearch.Library("indexes") as library:
        app.state.handbook = library.create("handbook")
        await asyncio.to_thread(app.state.handbook.ingest, HANDBOOK)
        yield


app = FastAPI(lifespan=open_handbook)


@app.get("/ask")
async def ask(request: Request, question: str) -> Reply:
    """Answer a question; `aask` does not block the event loop."""
    handbook: semsearch.Collection = request.app.state.handbook
    try:
        answer = await handbook.aask(question)
    except semsearch.InvalidError as error:
        raise HTTPException(422, str(error)) from error
    quotes = {f"[{citation.marker}] {citation.uri}": citation.quote for citation in answer.citations}
    return Reply(text=answer.text, reason=answer.reason, quotes=quotes)
