"""Operators about the replication of source servers: start, retry, stop, and let go of them after a failback."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from drs_provider.aws.drs.failback import Cycle, is_failback
from drs_provider.aws.drs.failback_guard import (
    FailbackRefusedError,
    check_removal,
    check_replicate,
    check_retire,
)
from drs_provider.aws.drs.progress import Progress
from drs_provider.links.drs import DrsSourceServersLink
from drs_provider.operators.drs_act_once import ActOnceOperator

__all__ = [
    "DrsDeleteSourceServerOperator",
    "DrsDisconnectSourceServerOperator",
    "DrsRetryDataReplicationOperator",
    "DrsStartReplicationOperator",
    "DrsStopReplicationOperator",
]

Item = Mapping[str, Any]
Direction = Literal["FAILBACK", "FAILOVER"]


class _SourceServersOperator(ActOnceOperator):
    """
    Base of the operators that act on source servers.

    :param source_server_ids: The servers. (templated)
    """

    template_fields: Sequence[str] = aws_template_fields("source_server_ids", "peer_aws_conn_id")
    operator_extra_links = (DrsSourceServersLink(),)
    ui_color = "#e3f9e7"

    def __init__(self, *, source_server_ids: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source_server_ids = source_server_ids

    def act(
        self,
        context: Any,
        operation: str,
        is_done: Callable[[Item | None], bool],
        check: Callable[[Item, Cycle | None], None],
        accepted: set[str] | None = None,
    ) -> dict[str, str | None]:
        """
        Call an operation for each server that it is not done for.

        :param operation: The client's method.
        :param is_done: Whether it is done, by what DescribeSourceServers says of a server; None: DRS has none.
        :param check: Raises what forbids it, by the server and, where it is a FAILBACK server, its cycle; None: its
            forward server is not known.
        :param accepted: Gets the ids of the servers for which DRS accepted the call.
        :returns: The data replication state of each server, None of one that DRS does not have.
        """
        ids = list(self.source_server_ids)
        DrsSourceServersLink.push(context, self, self.hook, ids)
        seen: dict[str, Item] = {}
        cycles: dict[str, Cycle] = {}

        def look(left: Sequence[str]) -> dict[str, str]:
            seen.update({one: {} for one in left})
            seen.update(self.source_servers(left))
            done = [one for one in left if is_done(seen[one] or None)]
            cycles.clear()
            # A forward server is acted on without a look at the origin, which may be what has failed.
            cycles.update(self.cycles([seen[one] for one in left if one not in done and is_failback(seen[one])]))
            for one in done:
                if not seen[one]:
                    self.log.warning("%s: DRS has no such source server here", one)
            return {one: Progress.of(seen[one]).state or "" for one in done}

        def may(one: str) -> None:
            if not seen[one]:
                raise FailbackRefusedError(f"{one} is not a source server here")
            check(seen[one], cycles.get(one))

        def ask(one: str) -> None:
            getattr(self.hook.start_client, operation)(sourceServerID=one)
            self.log.info("%s: %s", operation, one)

        done = self.once(ids, look=look, ask=ask, check=may, accepted=accepted)
        return {one: state or None for one, state in done.items()}


class DrsStopReplicationOperator(_SourceServersOperator):
    """
    Stop the reversed replication of servers that were failed back, or whose failback is given up (StopReplication).

    Only servers of direction FAILBACK: of a forward server this call deletes every point in time. After a launch back
    it is refused until what was launched is protected: replicated by the forward server, CONTINUOUS, rescanned and
    without lag. Before the launch back it undoes the failback. Until it is done, DRS does not terminate the recovery
    instance ("cannot be terminated during failback").

    Returns ``{source server id: data replication state}``, ``None`` for a server that DRS does not have any more.

    :param source_server_ids: The FAILBACK servers, in the origin region. (templated)
    :param timeout: How long to go on through transient errors and conflicts.
    :param peer_aws_conn_id: The connection that may read DRS in the recovery region, where that is in another account;
        by default the operator's own. (templated)
    :raises AirflowException: when it must not be done, DRS refuses, or the time is up.
    """

    def execute(self, context: Any) -> dict[str, str | None]:
        """Stop the replication of every server."""

        def done(server: Item | None) -> bool:
            return server is None or (is_failback(server) and Progress.of(server).state in ("STOPPED", "DISCONNECTED"))

        return self.act(context, "stop_replication", done, check_retire)


class DrsStartReplicationOperator(_SourceServersOperator):
    """
    Start the replication of servers on which it is stopped (StartReplication); a full first sync begins.

    Refused for a FAILBACK server after its launch back: it would replicate what was left behind.

    Returns ``{source server id: data replication state}``.

    :param source_server_ids: The servers. (templated)
    :param timeout: How long to go on through transient errors and conflicts.
    :param peer_aws_conn_id: The connection that may read DRS at the other end of the failback, where that is in another
        account; by default the operator's own. (templated)
    :raises AirflowException: when it must not be done, DRS refuses, or the time is up.
    """

    def execute(self, context: Any) -> dict[str, str | None]:
        """Start the replication of every server."""

        def done(server: Item | None) -> bool:
            return server is not None and Progress.of(server).replicates

        return self.act(context, "start_replication", done, check_replicate)


class DrsRetryDataReplicationOperator(_SourceServersOperator):
    """
    Have DRS try replication again that has stalled (RetryDataReplication); other servers are left alone.

    Returns ``{source server id: data replication state}``.

    :param source_server_ids: The servers. (templated)
    :param timeout: How long to go on through transient errors and conflicts.
    :param peer_aws_conn_id: The connection that may read DRS at the other end of the failback, where that is in another
        account; by default the operator's own. (templated)
    :raises AirflowException: when it must not be done, DRS refuses, or the time is up; one that stalls at once again
        counts as done, with STALLED as its state.
    """

    def execute(self, context: Any) -> dict[str, str | None]:
        """Try the replication of every stalled server again."""
        asked: set[str] = set()

        def done(server: Item | None) -> bool:
            if server is None:
                return False
            return Progress.of(server).state != "STALLED" or str(server["sourceServerID"]) in asked

        return self.act(context, "retry_data_replication", done, check_replicate, asked)


class _RemovalOperator(_SourceServersOperator):
    """
    Base of the operators that let go of source servers.

    :param direction: The direction that the servers have to have.
    """

    def __init__(self, *, direction: Direction = "FAILBACK", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if direction not in ("FAILBACK", "FAILOVER"):
            raise ValueError(f"direction must be FAILBACK or FAILOVER, not {direction!r}")
        self.direction = direction

    def may_remove(self, server: Item, cycle: Cycle | None) -> None:
        """Raise what forbids it."""
        check_removal(server, cycle, self.direction)


class DrsDisconnectSourceServerOperator(_RemovalOperator):
    """
    Disconnect source servers from DRS (DisconnectSourceServer): the resources of their replication are removed.

    By default only servers of direction FAILBACK, of which the replication is stopped: the second last step of a
    failback. DRS refuses it for a server with a recovery instance; delete the record of that first
    (:class:`~drs_provider.operators.drs_failback.DrsDeleteRecoveryInstanceOperator`).

    Returns ``{source server id: data replication state}``, ``None`` for a server that DRS does not have any more.

    :param source_server_ids: The servers. (templated)
    :param direction: ``FAILOVER`` lets go of forward servers, which leaves their machines unprotected and deletes every
        point in time; servers of the other direction than this are refused.
    :param timeout: How long to go on through transient errors and conflicts.
    :param peer_aws_conn_id: The connection that may read DRS at the other end of the failback, where that is in another
        account; by default the operator's own. (templated)
    :raises AirflowException: when it must not be done, DRS refuses, or the time is up.
    """

    def execute(self, context: Any) -> dict[str, str | None]:
        """Disconnect every server."""

        def done(server: Item | None) -> bool:
            return server is None or Progress.of(server).state == "DISCONNECTED"

        return self.act(context, "disconnect_source_server", done, self.may_remove)


class DrsDeleteSourceServerOperator(_RemovalOperator):
    """
    Delete source servers that are disconnected from DRS (DeleteSourceServer).

    By default only servers of direction FAILBACK: the last step of a failback.

    Returns ``{source server id: None}``.

    :param source_server_ids: The servers; one that DRS does not have any more counts as deleted. (templated)
    :param direction: ``FAILOVER`` deletes forward servers; servers of the other direction than this are refused.
    :param timeout: How long to go on through transient errors and conflicts.
    :param peer_aws_conn_id: The connection that may read DRS at the other end of the failback, where that is in another
        account; by default the operator's own. (templated)
    :raises AirflowException: when it must not be done, DRS refuses, or the time is up.
    """

    def execute(self, context: Any) -> dict[str, str | None]:
        """Delete every server."""
        return self.act(context, "delete_source_server", lambda server: server is None, self.may_remove)
