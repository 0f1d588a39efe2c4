"""The AWS clients that the checks use, made when first needed and safe to share between threads.

From Airflow, build it from a hook (``Clients(lambda service: AwsBaseHook(aws_conn_id=..., client_type=service,
...).conn)``); from a terminal, from a boto3 session (:meth:`Clients.from_session`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

from drs_provider.hooks.clients import regional_sts

__all__ = ["Clients", "pages"]


class Clients:
    """Clients for one account and region.

    :param make: makes a client from a botocore service name, e.g. ``"drs"``. Called once for each service.
    """

    def __init__(self, make: Callable[[str], Any]) -> None:
        self._make = make
        self._made: dict[str, Any] = {}
        # boto3 sessions are not thread-safe while they make clients; the clients themselves are.
        self._lock = threading.Lock()

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

        return cls(make)

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


def pages(call: Callable[..., dict[str, Any]], key: str = "items", **params: Any) -> Iterator[dict[str, Any]]:
    """Every item of a paged DRS operation, to the last page.

    An empty page with a token is not the end: only a missing token is.

    :param call: a client method whose pages are linked by ``nextToken``.
    :param key: the name of the list in a page.
    :param params: the operation's own parameters.
    """
    token: str | None = None
    while True:
        page = call(**params, **({"nextToken": token} if token else {}))
        yield from page.get(key, ())
        token = page.get("nextToken")
        if not token:
            return
