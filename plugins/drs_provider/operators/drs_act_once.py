"""The base of the operators that do one thing to each of several source servers or recovery instances, once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.common.compat.sdk import AirflowException

from drs_provider.aws.drs.act_once import act_once
from drs_provider.aws.drs.failback import Cycle, Place, cycles_of, home_of
from drs_provider.aws.faults import ActionFailed
from drs_provider.hooks.drs import DrsHook

__all__ = ["ActOnceOperator"]

T = TypeVar("T")
Item = Mapping[str, Any]


class ActOnceOperator(AwsBaseOperator[DrsHook]):
    """
    Look, act once, look.

    None of the calls has a client token: whether it is done already is looked up before each, and after every answer
    that leaves it open. A second try, or the same task cleared, finds what was done and does nothing.

    :param timeout: How long to go on through transient errors and conflicts.
    :param peer_aws_conn_id: The connection that may read DRS at the other end of the failback, where that is in another
        account; by default the operator's own. (templated)
    """

    aws_hook_class = DrsHook

    def __init__(
        self, *, timeout: timedelta = timedelta(minutes=10), peer_aws_conn_id: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.timeout = timeout
        self.peer_aws_conn_id = peer_aws_conn_id
        self._peers: dict[Place, DrsHook] = {}

    def once(
        self,
        ids: Sequence[str],
        *,
        look: Callable[[Sequence[str]], Mapping[str, T]],
        ask: Callable[[str], object],
        check: Callable[[str], None] = lambda one: None,
        deadline: float | None = None,
        **more: Any,
    ) -> dict[str, T]:
        """Do it to each; see :func:`~drs_provider.aws.drs.act_once.act_once`.

        :param deadline: When the time is up, in epoch seconds; by default ``timeout`` from now.
        :raises AirflowException: when DRS or a check refuses, or the time is up.
        """
        try:
            return act_once(
                self.hook,
                ids,
                look=look,
                ask=ask,
                check=check,
                within=self.timeout,
                deadline=deadline,
                log=self.log,
                **more,
            )
        except ActionFailed as failure:
            raise AirflowException(str(failure)) from failure

    def source_servers(self, ids: Sequence[str]) -> dict[str, Item]:
        """Return source servers of this region by id."""
        return {str(one["sourceServerID"]): one for one in self.hook.source_servers(ids)}

    def recovery_instances(self, ids: Sequence[str]) -> dict[str, Item]:
        """Return recovery instances of this region by id."""
        return {str(one["recoveryInstanceID"]): one for one in self.hook.recovery_instances(instance_ids=ids)}

    def cycles(self, servers: Sequence[Item]) -> dict[str, Cycle]:
        """Return the cycles that source servers of this region are in, by the servers' ids."""
        if not servers:
            return {}
        here = home_of(servers[0])
        return cycles_of(self.hook, lambda place: self.peer(place, here), servers)

    def peer(self, place: Place, here: Place) -> DrsHook:
        """
        Return the hook for the other end of a failback.

        :param place: Its account and region.
        :param here: Those of this operator.
        :raises AirflowException: when it is in an account that the connection does not reach.
        """
        if place in self._peers:
            return self._peers[place]
        parameters = {**self._hook_parameters, "region_name": place.region}
        if self.peer_aws_conn_id is not None:
            parameters["aws_conn_id"] = self.peer_aws_conn_id
        hook = self.aws_hook_class(**parameters)
        if self.peer_aws_conn_id is not None or place.account != here.account:
            reached = hook.account_id
            if reached != place.account:
                raise AirflowException(
                    f"The other end of the failback is in account {place.account}, {place.region}, and the connection "
                    f"reaches account {reached}: set peer_aws_conn_id to a connection that reaches it."
                )
        self._peers[place] = hook
        return hook
