"""Waiting until instances are healthy: their EC2 status checks, a TCP port, an HTTP answer."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal

from drs_provider.aws.calls import Calls, chunks
from drs_provider.live.model import LiveItem
from drs_provider.triggers.polling import DeadlinePassed
from drs_provider.triggers.posts import Post, WaitFailed
from drs_provider.triggers.waiting import WaitTrigger

__all__ = ["Ec2InstanceStatusTrigger", "HttpHealthTrigger", "ProbeTrigger", "TcpPortTrigger"]

#: DescribeInstanceStatus takes 100 ids.
_STATUS_BATCH = 100
_ADDRESS_BATCH = 200
_DESCRIBED = 20


async def fetch_statuses(calls: Calls, instance_ids: Sequence[str]) -> dict[str, str]:
    """Return ``ok``, or what is not yet well, by instance id: the fetch of the poller for EC2 status checks."""
    found: list[dict[str, Any]] = []
    for some in chunks(instance_ids, _STATUS_BATCH):
        found += await calls.read_all(
            "describe_instance_status", "InstanceStatuses", InstanceIds=some, IncludeAllInstances=True
        )
    statuses: dict[str, str] = {}
    for item in found:
        state = item["InstanceState"]["Name"]
        system, instance = item["SystemStatus"]["Status"], item["InstanceStatus"]["Status"]
        well = (state, system, instance) == ("running", "ok", "ok")
        statuses[item["InstanceId"]] = "ok" if well else f"{state}, system {system}, instance {instance}"
    return statuses


async def addresses_of(calls: Calls, instance_ids: Sequence[str], kind: Literal["private", "public"]) -> dict[str, str]:
    """Return the private or public IPv4 address of instances that have one, by id (DescribeInstances)."""
    key = "PrivateIpAddress" if kind == "private" else "PublicIpAddress"
    found: dict[str, str] = {}
    for some in chunks(instance_ids, _ADDRESS_BATCH):
        groups = await calls.read_all("describe_instances", "Reservations", InstanceIds=some)
        instances = [instance for group in groups for instance in group["Instances"]]
        found.update((instance["InstanceId"], instance[key]) for instance in instances if instance.get(key))
    return found


def _named(ill: Mapping[str, str]) -> str:
    shown = "; ".join(f"{instance_id}: {reason}" for instance_id, reason in list(ill.items())[:_DESCRIBED])
    return shown + (f"; and {len(ill) - _DESCRIBED} more" if len(ill) > _DESCRIBED else "")


class _HealthTrigger(WaitTrigger):
    """Base of the waits for a list of instances to be healthy.

    :param instance_ids: the instances.
    """

    def __init__(self, *, instance_ids: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.instance_ids = list(instance_ids)
        self._reported: dict[str, str] | None = None

    def _report(self, post: Post, what: str, ill: dict[str, str]) -> None:
        """Log what is not well when that has changed, and show it."""
        well = len(self.instance_ids) - len(ill)
        post.progress.show(
            what=f"{what}: {well} of {len(self.instance_ids)}",
            counts={"total": len(self.instance_ids), "well": well},
            items=[LiveItem(id=one, status=reason) for one, reason in ill.items()],
        )
        if ill != self._reported:
            self.log.info("%s: %d of %d%s", what, well, len(self.instance_ids), f"; {_named(ill)}" if ill else "")
        self._reported = ill

    def _too_late(self, what: str, ill: Mapping[str, str], detail: str = "") -> WaitFailed:
        total = len(self.instance_ids)
        more = f" ({detail})" if detail else ""
        return WaitFailed(
            f"{what}: not in time on {len(ill)} of {total} instances{more}: {_named(ill)}", timed_out=True
        )


class Ec2InstanceStatusTrigger(_HealthTrigger):
    """Wait until both EC2 status checks of every instance pass (DescribeInstanceStatus)."""

    fields = ("instance_ids",)

    async def wait(self, post: Post) -> dict[str, str]:
        """Return ``{instance id: "ok"}``."""
        what = "EC2 status checks"
        ill = dict.fromkeys(self.instance_ids, "not looked at")
        try:
            async with post.watch(
                "ec2-status",
                fetch_statuses,
                self.instance_ids,
                lambda _: self.poll_interval,
                service="ec2",
                batch=_STATUS_BATCH,
            ) as watch:
                while ill:
                    seen = await watch.next(self.deadline)
                    ill = {i: seen.get(i, "not shown by EC2") for i in self.instance_ids if seen.get(i) != "ok"}
                    self._report(post, what, ill)
                    gone = {
                        i: reason for i, reason in ill.items() if reason.startswith(("shutting-down", "terminated"))
                    }
                    if gone:
                        raise WaitFailed(f"{what}: {len(gone)} instances are gone: {_named(gone)}")
        except DeadlinePassed as passed:
            raise self._too_late(what, ill, str(passed)) from None
        return dict.fromkeys(self.instance_ids, "ok")


class ProbeTrigger(_HealthTrigger):
    """Base of the waits that ask every instance themselves, from where they run.

    :param address: which address of an instance is asked, ``private`` or ``public``.
    :param probe_timeout: seconds that one question may take.
    """

    fields: tuple[str, ...] = ("instance_ids", "address", "probe_timeout")

    def __init__(
        self, *, address: Literal["private", "public"] = "private", probe_timeout: float = 5.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.address = address
        self.probe_timeout = probe_timeout

    @property
    @abstractmethod
    def what(self) -> str:
        """What is waited for, for messages."""

    @abstractmethod
    async def probe(self, host: str) -> str:
        """Ask a host once; return an empty text if it is well, otherwise what is wrong. Never raises."""

    async def wait(self, post: Post) -> dict[str, str]:
        """Return the address at which each instance answered, by id."""
        addresses: dict[str, str] = {}
        ill = dict.fromkeys(self.instance_ids, "not asked")
        while True:
            unknown = [i for i in ill if i not in addresses]
            if unknown:
                found = await post.ask(
                    lambda calls, ids=unknown: addresses_of(calls, ids, self.address),  # type: ignore[misc]
                    self.deadline,
                    service="ec2",
                )
                addresses.update(found)
            asked = [i for i in ill if i in addresses]
            answers = await post.together([self._question(addresses[i]) for i in asked])
            said = dict(zip(asked, answers, strict=True))
            ill = {i: said.get(i, f"no {self.address} address") for i in ill if said.get(i, "unknown")}
            self._report(post, self.what, ill)
            if not ill:
                return {i: addresses[i] for i in self.instance_ids}
            if time.time() >= self.deadline:
                raise self._too_late(self.what, ill)
            await post.sleep(max(min(self.poll_interval, self.deadline - time.time()), 0.1))

    def _question(self, host: str) -> Callable[[], Awaitable[str]]:
        async def ask() -> str:
            return await self.probe(host)

        return ask


class TcpPortTrigger(ProbeTrigger):
    """Wait until a TCP port of every instance accepts a connection.

    :param port: the port.
    """

    fields = (*ProbeTrigger.fields, "port")

    def __init__(self, *, port: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.port = port

    @property
    def what(self) -> str:
        """What is waited for."""
        return f"TCP port {self.port}"

    async def probe(self, host: str) -> str:
        """Connect, and close again."""
        try:
            connecting = asyncio.open_connection(host, self.port)
            _, writer = await asyncio.wait_for(connecting, self.probe_timeout)
        except asyncio.TimeoutError:
            return f"no answer from {host} within {self.probe_timeout:g} s"
        except OSError as error:
            return f"{host}: {os.strerror(error.errno) if error.errno else error}"
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return ""


class HttpHealthTrigger(ProbeTrigger):
    """Wait until every instance answers an HTTP request with the expected status.

    :param path: the path, with the query if any.
    :param port: the TCP port.
    :param scheme: ``http`` or ``https``. Certificates are not verified: an instance is asked by its address.
    :param expected_status: the status that means healthy; redirects are not followed.
    :param headers: headers of the request, such as ``Host``.
    """

    fields = (*ProbeTrigger.fields, "path", "port", "scheme", "expected_status", "headers")

    def __init__(
        self,
        *,
        path: str,
        port: int,
        scheme: str = "http",
        expected_status: int = 200,
        headers: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.path = path
        self.port = port
        self.scheme = scheme
        self.expected_status = expected_status
        self.headers = dict(headers or {})

    @property
    def what(self) -> str:
        """What is waited for."""
        return f"{self.scheme.upper()} {self.expected_status} at port {self.port} {self.path}"

    async def probe(self, host: str) -> str:
        """Send a GET, and look at the status."""
        import aiohttp

        url = f"{self.scheme}://{host}:{self.port}/{self.path.lstrip('/')}"
        limit = aiohttp.ClientTimeout(total=self.probe_timeout)
        try:
            async with (
                aiohttp.ClientSession(timeout=limit) as session,
                session.get(url, ssl=False, allow_redirects=False, headers=self.headers) as answer,
            ):
                return "" if answer.status == self.expected_status else f"{host} answered {answer.status}"
        except asyncio.TimeoutError:
            return f"no answer from {host} within {self.probe_timeout:g} s"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return f"{host}: {error or type(error).__name__}"
