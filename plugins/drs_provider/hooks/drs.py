"""The hook for AWS Elastic Disaster Recovery (DRS), on the ``aws`` connection of the amazon provider."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

from drs_provider.aws.clients import client_config, regional_sts
from drs_provider.aws.drs.questions import DrsAccess

__all__ = ["DrsHook"]


class DrsHook(DrsAccess, AwsBaseHook):
    """
    Interact with AWS Elastic Disaster Recovery.

    A thin wrapper around ``boto3.client("drs")`` with the questions that recovery asks, each answered to the last page
    and patient with transient errors. The triggerer asks the same through
    ``DrsReads(Calls(client))`` with ``async with await hook.get_async_conn() as client``.

    Additional arguments (such as ``aws_conn_id``, ``region_name``, ``verify``, ``config``) are passed on to the
    amazon provider's ``AwsBaseHook``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["client_type"] = "drs"
        super().__init__(*args, **kwargs)
        self._sessions: dict[str | None, Any] = {}

    @cached_property
    def start_client(self) -> Any:
        """
        A client whose calls are sent exactly once, for StartRecovery.

        The API has no client token. botocore would repeat a call after a 5xx or a time-out, and when the first one was
        accepted all the same, the answer is a conflict with one's own job.
        """
        from botocore.config import Config

        once = Config(
            retries={"total_max_attempts": 1, "mode": "standard"},  # type: ignore[typeddict-item, unused-ignore]
            connect_timeout=10,
            read_timeout=30,
        )
        return self.get_client_type(region_name=self.region_name, config=self.config.merge(once))

    def get_session(self, region_name: str | None = None, deferrable: bool = False) -> Any:
        """
        Return the session of a region: in a worker, one for all the clients of this hook.

        A session of its own for each client reads botocore's service descriptions again (50 ms), and with an assumed
        role asks STS again.
        """
        if deferrable:
            return super().get_session(region_name=region_name, deferrable=True)
        if region_name not in self._sessions:
            self._sessions[region_name] = super().get_session(region_name=region_name)
        return self._sessions[region_name]

    def _get_caller(self, target_function_name: str = "execute") -> str:
        # For the user agent, the amazon provider looks for its caller through every loaded module: 50 ms before a
        # task's first call.
        return type(self).__name__

    def _get_config(self, config: Any = None) -> Any:
        return super()._get_config(client_config(config if config is not None else self.config))

    def renew_credentials(self) -> None:
        """Make new sessions and clients from now on: those that there are have expired."""
        self._sessions.clear()
        for name in ("conn", "start_client"):
            self.__dict__.pop(name, None)

    def client(self, service: str) -> Any:
        """Return a client of an AWS service, such as ``ec2``, with this hook's connection, region and session."""
        if service == "drs":
            return self.conn

        def make(endpoint_url: str | None) -> Any:
            return self.get_session(region_name=self.region_name).client(
                service, endpoint_url=endpoint_url, config=self._get_config(), verify=self.verify
            )

        client = make(self.conn_config.get_service_endpoint_url(service))
        return make(url) if (url := regional_sts(client, self.region_name)) else client
