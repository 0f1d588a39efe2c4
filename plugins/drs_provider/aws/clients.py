"""AWS clients: they notice an endpoint that does not answer, ask STS in the region itself, and are made once each.

From Airflow, a hook has them (:class:`~drs_provider.hooks.drs.DrsHook`); for a terminal they come from a boto3 session
(:meth:`Clients.from_session`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

__all__ = ["Clients", "client_config", "quiet_boto", "regional_sts"]

_GLOBAL_STS = "sts.amazonaws.com"


def client_config(config: Any) -> Any:
    """Return a client's configuration with defaults beneath it that fit a disaster.

    botocore waits a minute for a connection and asks five times: five minutes for an endpoint that is gone, and here
    whoever asks is patient already.

    :param config: a ``botocore.config.Config``; what it sets stays.
    """
    from botocore.config import Config

    quiet_boto()
    defaults = Config(connect_timeout=10, read_timeout=30, retries={"total_max_attempts": 3, "mode": "standard"})  # type: ignore[typeddict-item, unused-ignore]
    return defaults.merge(config) if config is not None else defaults


def quiet_boto() -> None:
    """Leave out of the logs where boto found an endpoint or credentials: the same lines for each client of each task.

    A level that an administrator has set stays.
    """
    for name in ("botocore.configprovider", "botocore.credentials", "aiobotocore.credentials"):
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.WARNING)


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


class Clients:
    """Clients for one account and region.

    :param make: makes a client from a botocore service name, e.g. ``"drs"``. Called once for each service.
    """

    def __init__(self, make: Callable[[str], Any]) -> None:
        self._make = make
        self._made: dict[str, Any] = {}
        # boto3 sessions are not thread-safe while they make clients; the clients themselves are.
        self._lock = threading.Lock()
        #: How many answers AWS gave, and when it gave the last one (``time.monotonic``).
        self.answers = 0
        self.answered_at = 0.0
        #: Where AWS is asked, for people.
        self.address = "an unknown address"

    @classmethod
    def from_session(cls, session: Any, region_name: str) -> Clients:
        """Clients of a boto3 session, with timeouts that fit a check and botocore's standard retries.

        :param session: a ``boto3.session.Session``.
        :param region_name: the recovery region.
        """
        from botocore.config import Config

        config = Config(
            connect_timeout=5, read_timeout=20, retries={"mode": "standard", "max_attempts": 4}, max_pool_connections=32
        )

        def make(service: str) -> Any:
            client = session.client(service, region_name=region_name, config=config)
            if url := regional_sts(client, region_name):
                return session.client(service, region_name=region_name, config=config, endpoint_url=url)
            return client

        def watched(service: str) -> Any:
            client = make(service)
            if service == "drs" or not found.answers:
                found.address = str(client.meta.endpoint_url)
            client.meta.events.register("after-call", found._answered)
            return client

        found = cls(watched)
        return found

    def _answered(self, **_: Any) -> None:
        self.answers += 1
        self.answered_at = time.monotonic()

    def get(self, service: str) -> Any:
        """The client of a service, made on first use.

        :param service: a botocore service name.
        """
        with self._lock:
            if service not in self._made:
                self._made[service] = self._make(service)
            return self._made[service]

    @property
    def drs(self) -> Any:
        """AWS Elastic Disaster Recovery."""
        return self.get("drs")

    @property
    def ec2(self) -> Any:
        """Amazon EC2."""
        return self.get("ec2")

    @property
    def ssm(self) -> Any:
        """AWS Systems Manager."""
        return self.get("ssm")

    @property
    def iam(self) -> Any:
        """AWS Identity and Access Management."""
        return self.get("iam")

    @property
    def sts(self) -> Any:
        """AWS Security Token Service."""
        return self.get("sts")

    @property
    def service_quotas(self) -> Any:
        """AWS Service Quotas."""
        return self.get("service-quotas")
