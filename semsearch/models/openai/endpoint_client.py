"""Make the client of a model server from its settings."""

from ...core.ports import Meter
from ...core.settings import Endpoint
from .client import OpenAIClient


def make_client(endpoint: Endpoint, meter: Meter) -> OpenAIClient:
    """Return a client of an endpoint; every request goes through the meter."""
    return OpenAIClient(
        endpoint.base_url,
        endpoint.key.read,
        meter=meter,
        organization=endpoint.organization,
        project=endpoint.project,
        proxy=endpoint.proxy,
        ca_file=endpoint.ca_file,
        timeout=endpoint.timeout,
    )
