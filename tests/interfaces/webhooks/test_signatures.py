"""Signatures of Standard Webhooks."""

import base64
import time

import pytest
from support.webhook_receiver import SECRET, verify

from semsearch.interfaces.webhooks.signatures import build_headers, decode_secret


def test_signature_is_that_of_the_published_example() -> None:
    """The test vector of the reference libraries of Standard Webhooks."""
    secret = decode_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = build_headers(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_reference_algorithm_accepts_the_headers() -> None:
    """Another body, id or secret is refused."""
    body = '{"ä": 1}'.encode()
    headers = build_headers(decode_secret(SECRET), "msg_1", int(time.time()), body)
    verify(SECRET, headers, body)
    other = "whsec_" + base64.b64encode(bytes(32)).decode()
    for secret, changes, sent in ((SECRET, {}, b"{}"), (SECRET, {"webhook-id": "msg_2"}, body), (other, {}, body)):
        with pytest.raises(ValueError, match="no matching signature"):
            verify(secret, headers | changes, sent)


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_!", "whsec_c2hvcnQ=", SECRET.removeprefix("whsec_")])
def test_invalid_secret_is_refused_without_showing_it(text: str) -> None:
    """The specification asks for 24 to 64 bytes."""
    with pytest.raises(ValueError, match="must be whsec_ and the base64 of 24 to 64 bytes") as caught:
        decode_secret(text)
    assert len(text) < 7 or text not in str(caught.value)
