"""The wait for replication, in a worker and deferred, over HTTP to the simulator."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException

from drs_provider.sensors.drs import DrsReplicationSensor
from tests.provider.drs_servers import AWS, SERVERS, load


class TestReplicationSensor:
    def make(self, deferrable: bool, **more: Any) -> DrsReplicationSensor:
        options = {"source_server_ids": SERVERS[:2], "poke_interval": 0.3, "deferrable": deferrable, "timeout": 20}
        return DrsReplicationSensor(task_id="replication", **{**options, **AWS, **more})

    def test_ready_at_once(self, drs_simulator_server: Any, deferrable: bool, task_context: Any, wait: Any) -> None:
        load(drs_simulator_server)
        sensor = self.make(deferrable, max_lag=timedelta(minutes=5))
        assert wait(sensor, task_context(sensor)) == {
            server: {"state": "CONTINUOUS", "lag_seconds": 0.0} for server in SERVERS[:2]
        }

    def test_it_waits_until_the_state_is_acceptable(
        self, drs_simulator_server: Any, deferrable: bool, task_context: Any, wait: Any
    ) -> None:
        load(
            drs_simulator_server,
            s0={"replication": "RESCAN", "changes": [{"after": 1200, "replication": "CONTINUOUS"}]},
        )
        sensor = self.make(deferrable)
        result = wait(sensor, task_context(sensor))
        assert result[SERVERS[0]]["state"] == "CONTINUOUS"

    def test_servers_by_tags(self, drs_simulator_server: Any, deferrable: bool, task_context: Any, wait: Any) -> None:
        load(drs_simulator_server, s2={"tags": {"Tier": "db", "App": "shop"}}, s3={"tags": {"Tier": "db"}})
        sensor = self.make(deferrable, source_server_ids=None, server_tags={"Tier": "db", "App": "shop"})
        assert list(wait(sensor, task_context(sensor))) == [SERVERS[2]]

    @pytest.mark.parametrize(
        ("server", "says"),
        [
            ({"lag": 600}, "lags 10m"),
            ({"replication": "STALLED", "replication_error": "AGENT_NOT_SEEN"}, "is STALLED \\(AGENT_NOT_SEEN\\)"),
        ],
    )
    def test_what_is_wrong_is_told_when_the_time_is_up(
        self,
        drs_simulator_server: Any,
        deferrable: bool,
        task_context: Any,
        wait: Any,
        server: dict[str, Any],
        says: str,
    ) -> None:
        load(drs_simulator_server, s1=server)
        sensor = self.make(deferrable, max_lag=300, timeout=2)
        with pytest.raises(AirflowException, match=f"{SERVERS[1]} {says}"):
            wait(sensor, task_context(sensor))
