"""How AWS clients are set up here: they notice an endpoint that does not answer, and ask STS in the region itself."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

__all__ = ["client_config", "regional_sts"]

_GLOBAL_STS = "sts.amazonaws.com"


def client_config(config: Any) -> Any:
    """Return a client's configuration with defaults beneath it that fit a disaster.

    botocore waits a minute for a connection and asks five times: five minutes for an endpoint that is gone, and here
    whoever asks is patient already.

    :param config: a ``botocore.config.Config``; what it sets stays.
    """
    from botocore.config import Config

    defaults = Config(connect_timeout=10, read_timeout=30, retries={"total_max_attempts": 3, "mode": "standard"})  # type: ignore[typeddict-item, unused-ignore]
    return defaults.merge(config) if config is not None else defaults


def regional_sts(client: Any, region_name: str | None) -> str | None:
    """Return the regional endpoint for a client of STS that would ask the global one; None for every other client.

    The global endpoint lies in us-east-1, which may be what has failed. botocore uses it where
    ``sts_regional_endpoints`` is ``legacy``.

    :param client: a client of any service.
    :param region_name: the recovery region.
    """
    if urlsplit(client.meta.endpoint_url).hostname != _GLOBAL_STS or not region_name:
        return None
    return f"https://sts.{region_name}.amazonaws.com"
