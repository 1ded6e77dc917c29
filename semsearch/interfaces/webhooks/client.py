"""Send one message to a webhook, once. Does not decide when to try again."""

import asyncio
import logging
import ssl
import time

import httpx

from ...core.errors import UnavailableError
from ...core.types.escalations import OutboxMessage, Webhook
from ...core.version import get_version
from .attempts import TIMEOUT_SECONDS, Attempt
from .signatures import build_headers, decode_secret

_GONE = 410


async def send_message(message: OutboxMessage, webhook: Webhook) -> Attempt:
    """Send a message with a signature of this moment. Nothing is raised, and the body of the response is not read."""
    try:
        secret = await asyncio.to_thread(_read_secret, webhook)
        headers = build_headers(secret, message.id, int(time.time()), message.body)
        # its certificates take some milliseconds to load
        client = await asyncio.to_thread(_make_client, webhook)
        async with (
            asyncio.timeout(TIMEOUT_SECONDS),
            client,
            client.stream("POST", webhook.url, content=message.body, headers=headers) as response,
        ):
            return _judge(response)
    except TimeoutError:
        return Attempt(f"no response within {TIMEOUT_SECONDS:g} seconds")
    except UnavailableError as exc:
        return Attempt(str(exc))
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ImportError) as exc:
        return Attempt(f"the connection failed: {type(exc).__name__}")  # other details may contain the address
    except ValueError as exc:
        return Attempt(str(exc))


def _read_secret(webhook: Webhook) -> bytes:
    return decode_secret(webhook.secret.read() or "")


def _make_client(webhook: Webhook) -> httpx.AsyncClient:
    # its debug log contains the address
    logging.getLogger("httpcore").setLevel(logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    verify = ssl.create_default_context(cafile=webhook.ca_file) if webhook.ca_file else True
    return httpx.AsyncClient(
        timeout=httpx.Timeout(TIMEOUT_SECONDS),
        headers={"user-agent": f"semsearch/{get_version()}"},
        trust_env=False,
        follow_redirects=False,
        proxy=webhook.proxy,
        verify=verify,
    )


def _judge(response: httpx.Response) -> Attempt:
    if response.is_success:
        return Attempt()
    if response.is_redirect:
        return Attempt(f"status {response.status_code}: redirects are not followed; set webhook_url to the new address")
    wait = response.headers.get("retry-after", "")
    seconds = float(wait) if wait.isascii() and wait.isdecimal() and len(wait) < 9 else 0.0
    return Attempt(f"status {response.status_code}", response.status_code == _GONE, seconds)
