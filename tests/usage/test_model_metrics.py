"""What is reported about settled requests to model servers."""

from hypothesis import given
from hypothesis import strategies as st
from support.metrics import RecordingMetrics

from semsearch.core.metrics import UPSTREAM_OUTCOMES
from semsearch.core.types.usage import ModelRequest, SettledUsage
from semsearch.usage.model_metrics import classify_outcome, report_model_request


@given(st.text() | st.integers(0, 1000).map(str))
def test_outcomes_are_those_of_the_table(status: str) -> None:
    """Whatever a server answers, the label has one of the fixed values."""
    assert classify_outcome(status) in UPSTREAM_OUTCOMES


def test_tokens_cost_and_seconds_are_reported() -> None:
    """A batch has no seconds; a request without a price is counted as such."""
    metrics = RecordingMetrics()
    chat = ModelRequest("chat", "http://one.example", "m", ["secret"])
    report_model_request(metrics, chat, SettledUsage("ok", 10, 5, 4, 2_000_000_000, False, 0.5))
    batch = ModelRequest("embedding", "http://one.example", "m", ["secret"], is_batch=True)
    report_model_request(metrics, batch, SettledUsage("503", 7, 0, 0, None, False, 9.0))
    assert metrics.values == {
        ("upstream_requests", "chat", "ok"): 1,
        ("upstream_requests", "embedding", "server_error"): 1,
        ("upstream_seconds", "chat"): 0.5,
        ("upstream_tokens", "prompt"): 10,
        ("upstream_tokens", "completion"): 5,
        ("upstream_tokens", "cached"): 4,
        ("upstream_tokens", "embedding"): 7,
        ("upstream_cost_usd",): 2.0,
        ("upstream_unpriced_requests",): 1,
    }
