"""Launching exactly once: against every error and every moment of death, counted in the simulator's log."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from drs_provider.aws.drs.launch import ForeignJobError, LaunchError, LaunchPatience, launch_once
from drs_provider.aws.drs.launch_key import LAUNCH_TAG, RUN_TAG, LaunchKey, generation_of, tag_value
from drs_provider.aws.quotas import Quotas
from drs_provider.hooks.drs import DrsHook

KEY = LaunchKey("shop", "manual__2026-03-01T10:00:00+00:00", "database")
SHORT = LaunchPatience(slots=timedelta(seconds=3), listing=timedelta(seconds=2), starting=timedelta(seconds=90))


def ids(count: int, start: int = 0) -> list[str]:
    return [f"s-{i:017d}" for i in range(start, start + count)]


def scenario(count: int, **more: Any) -> dict[str, Any]:
    special = more.pop("special", {})
    return {
        "servers": [{"id": one, "hostname": f"host{i}", **special.get(i, {})} for i, one in enumerate(ids(count))],
        **more,
    }


def all_jobs() -> list[dict[str, Any]]:
    return hook().jobs_since(datetime.now(timezone.utc) - timedelta(days=1))


def jobs_by_server() -> Counter[str]:
    return Counter(
        server["sourceServerID"]
        for job in all_jobs()
        if job["type"] == "LAUNCH"
        for server in job["participatingServers"]
    )


def hook() -> DrsHook:
    return DrsHook(aws_conn_id=None, region_name="us-west-2")


def launch(servers: Sequence[Any], key: LaunchKey = KEY, **more: Any) -> list[Any]:
    options: dict[str, Any] = {"is_drill": True, "patience": SHORT, **more}
    return launch_once(hook(), key, servers, since=datetime.now(timezone.utc) - timedelta(hours=1), **options)


def calls(simulator: Any, operation: str) -> list[dict[str, Any]]:
    return [entry for entry in simulator.log if entry.get("operation") == operation]


def test_a_second_launch_adopts_the_first(drs_simulator_server: Any) -> None:
    drs_simulator_server.load(scenario(3), speed=60)
    first = launch(ids(3))
    second = launch(ids(3))
    assert [job.adopted for job in first] == [False]
    assert [job.adopted for job in second] == [True]
    assert first[0].job_id == second[0].job_id
    assert second[0].launch_key == first[0].launch_key
    assert len(calls(drs_simulator_server, "StartRecovery")) == 1


def test_the_job_bears_the_tags_of_its_launch_and_the_snapshots(drs_simulator_server: Any) -> None:
    drs_simulator_server.load(scenario(1, special={0: {"snapshots": [{"age": "1h", "id": "pit-" + "0" * 17}]}}))
    (job,) = launch([{"id": ids(1)[0], "snapshot": "pit-" + "0" * 17}], tags={"cost": "dr"}, is_drill=False)
    (call,) = calls(drs_simulator_server, "StartRecovery")
    assert call["params"]["isDrill"] is False
    assert call["params"]["sourceServers"] == [{"sourceServerID": ids(1)[0], "recoverySnapshotID": "pit-" + "0" * 17}]
    assert call["params"]["tags"] == {
        "cost": "dr",
        "drs-provider:launch": job.launch_key,
        "drs-provider:run": "shop/manual__2026-03-01T10:00:00+00:00",
        "drs-provider:dag": "shop",
        "drs-provider:wave": "database",
        "drs-provider:mode": "recovery",
    }


def test_servers_are_split_by_the_quota_and_found_again_under_another_one(drs_simulator_server: Any) -> None:
    drs_simulator_server.load(scenario(25, page_size=2), speed=60)
    first = launch(ids(25), quotas=Quotas(servers_per_job=10))
    assert sorted(len(job.source_servers) for job in first) == [5, 10, 10]
    again = launch(list(reversed(ids(25))), quotas=Quotas(servers_per_job=7))
    assert {job.job_id for job in again} == {job.job_id for job in first}
    assert set(jobs_by_server().values()) == {1}


def test_a_server_that_was_added_since_is_launched_on_its_own(drs_simulator_server: Any) -> None:
    drs_simulator_server.load(scenario(4), speed=60)
    first = launch(ids(3))
    second = launch(ids(4))
    assert [(job.adopted, len(job.source_servers)) for job in second] == [(True, 3), (False, 1)]
    assert second[0].job_id == first[0].job_id
    assert jobs_by_server() == Counter(ids(4))


def test_runs_waves_and_attempts_do_not_adopt_each_others_jobs(drs_simulator_server: Any) -> None:
    drs_simulator_server.load(scenario(4), speed=60)
    keys = [
        KEY,
        LaunchKey(KEY.dag_id, "manual__2", KEY.wave),
        LaunchKey(KEY.dag_id, KEY.run_id, "app"),
        LaunchKey(KEY.dag_id, KEY.run_id, KEY.wave, attempt=2),
    ]
    jobs = [launch([server], key) for server, key in zip(ids(4), keys, strict=True)]
    assert [job.adopted for (job,) in jobs] == [False] * 4
    assert len({job.job_id for (job,) in jobs}) == 4


@pytest.mark.parametrize(
    "fault",
    [
        {"error": "InternalServerException", "when": "after"},
        {"error": "InternalServerException", "when": "before"},
        {"error": "ThrottlingException", "when": "before"},
        {"reset": True, "when": "after"},
        {"reset": True, "when": "before"},
        {"error": "ConflictException", "when": "after"},
    ],
    ids=lambda fault: "-".join(str(value) for value in fault.values()),
)
def test_an_answer_that_leaves_it_open_leads_to_one_job(drs_simulator_server: Any, fault: dict[str, Any]) -> None:
    drs_simulator_server.load(scenario(2), speed=60)
    drs_simulator_server.add_fault("StartRecovery", times=1, **fault)
    jobs = launch(ids(2))
    assert sorted(server for job in jobs for server in job.source_servers) == ids(2)
    assert jobs_by_server() == Counter(ids(2))
    assert len(calls(drs_simulator_server, "StartRecovery")) == (1 if fault["when"] == "after" else 2)


def test_an_answer_that_never_comes_leads_to_one_job(
    drs_simulator_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore.config import Config

    drs_simulator_server.load(scenario(2), speed=60)
    drs_simulator_server.add_fault("StartRecovery", hold=True, times=1)
    one = hook()
    once = Config(retries={"total_max_attempts": 1}, read_timeout=1)
    one.__dict__["start_client"] = one.get_client_type(region_name="us-west-2", config=once)
    jobs = launch_once(
        one, KEY, ids(2), is_drill=True, since=datetime.now(timezone.utc) - timedelta(hours=1), patience=SHORT
    )
    assert [job.adopted for job in jobs] == [True]
    assert jobs_by_server() == Counter(ids(2))


def test_a_job_that_another_try_started_during_a_pause_is_adopted_though_it_has_ended(
    drs_simulator_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    drs_simulator_server.load(scenario(1, special={0: {"outcome": "failed"}}), speed=60)
    drs_simulator_server.add_fault(operation="StartRecovery", error="ThrottlingException", times=1)
    others = []

    def meanwhile(seconds: float) -> None:
        if not others:
            others.append(None)
            others[0] = launch(ids(1))[0].job_id
            drs_simulator_server.advance(1200)

    monkeypatch.setattr("drs_provider.aws.drs.launch.time.sleep", meanwhile)
    (job,) = launch(ids(1))
    assert (job.job_id, job.adopted) == (others[0], True)
    assert jobs_by_server() == {ids(1)[0]: 1}


def test_a_worker_that_stood_still_after_its_look_looks_again(
    drs_simulator_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    drs_simulator_server.load(scenario(1), speed=60)
    others = []

    def quotas() -> Quotas:
        """The machine is suspended while the quotas are asked for; another try launches, and its job ends."""
        others.append(launch(ids(1), quotas=Quotas())[0].job_id)
        drs_simulator_server.advance(1200)
        moment = time.time() + 1200
        monkeypatch.setattr("drs_provider.aws.freshness.time", SimpleNamespace(time=lambda: moment, sleep=time.sleep))
        return Quotas()

    asking = hook()
    monkeypatch.setattr(asking, "quotas", quotas)
    (job,) = launch_once(asking, KEY, ids(1), is_drill=True, since=datetime.now(timezone.utc) - timedelta(hours=1))
    assert (job.job_id, job.adopted) == (others[0], True)
    assert jobs_by_server() == {ids(1)[0]: 1}


def test_the_sdk_does_not_repeat_the_start(drs_simulator_server: Any) -> None:
    from botocore.exceptions import ClientError

    drs_simulator_server.load(scenario(1))
    drs_simulator_server.add_fault("StartRecovery", error="InternalServerException", when="before")
    with pytest.raises(ClientError):
        hook().start_client.start_recovery(sourceServers=[{"sourceServerID": ids(1)[0]}])
    assert len(calls(drs_simulator_server, "StartRecovery")) == 1


def test_a_request_that_was_signed_too_long_ago_is_sent_again(drs_simulator_server: Any) -> None:
    drs_simulator_server.load(scenario(1), speed=60)
    late = "Signature expired: 20261125T030000Z is now earlier than 20261125T031500Z"
    drs_simulator_server.add_fault("StartRecovery", error="InvalidSignatureException", message=late, times=1)
    assert [job.adopted for job in launch(ids(1))] == [False]
    assert jobs_by_server() == {ids(1)[0]: 1}


def test_a_foreign_job_is_named_with_its_server(drs_simulator_server: Any) -> None:
    drs_simulator_server.load(scenario(3), speed=1)
    foreign = hook().conn.start_recovery(sourceServers=[{"sourceServerID": ids(3)[1]}], isDrill=True)["job"]["jobID"]
    with pytest.raises(ForeignJobError, match=f"{ids(3)[1]}: in job {foreign}"):
        launch(ids(3))
    assert jobs_by_server() == Counter([ids(3)[1]])


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("AccessDeniedException", "iam:PassRole"),
        ("ValidationException", "replication is stopped"),
        ("UninitializedAccountException", "not initialised"),
        ("ServiceQuotaExceededException", "quota of DRS is reached with 2 servers"),
    ],
)
def test_a_definite_refusal_is_explained(drs_simulator_server: Any, code: str, says: str) -> None:
    drs_simulator_server.load(scenario(2))
    drs_simulator_server.add_fault("StartRecovery", error=code)
    with pytest.raises(LaunchError, match=says):
        launch(ids(2))
    assert not jobs_by_server()


def test_a_launch_waits_for_a_free_slot(drs_simulator_server: Any) -> None:
    drs_simulator_server.load(scenario(3), speed=150)
    launch(ids(1), LaunchKey("other", "run", "wave"))
    jobs = launch(
        ids(2, 1), quotas=Quotas(jobs=1), patience=LaunchPatience(slots=timedelta(seconds=30), listing=SHORT.listing)
    )
    assert len(jobs) == 1
    assert jobs_by_server() == Counter(ids(3))
    events = [entry["event"] for entry in drs_simulator_server.log if entry.get("event") in ("JOB_START", "JOB_END")]
    assert events[:3] == ["JOB_START", "JOB_END", "JOB_START"]


@pytest.mark.parametrize("quotas", [Quotas(jobs=1), Quotas(servers_in_jobs=2)])
def test_no_free_slot_in_time_names_the_jobs(drs_simulator_server: Any, quotas: Quotas) -> None:
    drs_simulator_server.load(scenario(3), speed=1)
    (busy,) = launch(ids(2), LaunchKey("other", "run", "wave"), quotas=Quotas())
    with pytest.raises(LaunchError, match=f"No free DRS job slot.*{busy.job_id}"):
        launch(ids(1, 2), quotas=quotas, patience=LaunchPatience(slots=timedelta(seconds=1)))


class TestRelaunch:
    """What a deliberate clear does: a later generation of the key, after one server has failed and one launched."""

    @pytest.fixture
    def ended(self, drs_simulator_server: Any) -> Any:
        outcomes = {1: {"outcome": ["failed", "launched"]}}
        drs_simulator_server.load(scenario(2, special=outcomes), speed=600)
        (job,) = launch(ids(2))
        while hook().jobs([job.job_id])[0]["status"] != "COMPLETED":
            time.sleep(0.05)
        return job

    def cleared(self, **more: Any) -> list[Any]:
        key = LaunchKey(KEY.dag_id, KEY.run_id, KEY.wave, generation=2)
        return launch(ids(2), key, **more)

    def test_none_adopts_what_was_launched(self, ended: Any) -> None:
        assert [(job.job_id, job.adopted) for job in self.cleared()] == [(ended.job_id, True)]

    def test_failed_launches_only_what_failed_and_only_once(self, ended: Any) -> None:
        jobs = self.cleared(relaunch="failed")
        assert [(job.adopted, job.source_servers) for job in jobs] == [
            (True, (ids(2)[0],)),
            (False, (ids(2)[1],)),
        ]
        retried = self.cleared(relaunch="failed")
        assert {job.job_id for job in retried} == {job.job_id for job in jobs}
        assert all(job.adopted for job in retried)
        assert jobs_by_server() == Counter({ids(2)[0]: 1, ids(2)[1]: 2})

    def test_all_launches_everything_and_only_once(self, ended: Any) -> None:
        jobs = self.cleared(relaunch="all")
        assert [(job.adopted, job.source_servers) for job in jobs] == [(False, tuple(ids(2)))]
        assert [job.adopted for job in self.cleared(relaunch="all")] == [True]
        assert jobs_by_server() == Counter({ids(2)[0]: 2, ids(2)[1]: 2})

    def test_a_server_on_its_way_is_never_launched_again(self, drs_simulator_server: Any) -> None:
        drs_simulator_server.load(scenario(2), speed=1)
        (job,) = launch(ids(2))
        assert [(one.job_id, one.adopted) for one in self.cleared(relaunch="all")] == [(job.job_id, True)]
        assert jobs_by_server() == Counter(ids(2))


def launch_and_look(say: Callable[[str], None]) -> None:
    """Launch, and look at the jobs again and again, saying so."""
    jobs = launch(ids(3))
    say("launched")
    while True:
        hook().jobs([job.job_id for job in jobs])
        say("looked")
        time.sleep(0.2)


def launch_and_stay(say: Callable[[str], None]) -> None:
    """Launch, and neither store nor look at anything."""
    launch(ids(3))
    say("launched")
    time.sleep(600)


class TestKilled:
    """A process that launches is killed with SIGKILL at each of the four points; the next one takes over."""

    def test_before_the_call(self, drs_simulator_server: Any, victim: Any) -> None:
        drs_simulator_server.load(scenario(3), speed=60)
        drs_simulator_server.add_fault("DescribeJobs", hold=True, times=1)
        process = victim(launch_and_look)
        process.wait_until(lambda: calls(drs_simulator_server, "DescribeJobs"))
        process.kill()
        drs_simulator_server.clear_faults()
        assert [job.adopted for job in launch(ids(3))] == [False]
        assert jobs_by_server() == Counter(ids(3))

    def test_after_aws_accepted_it_and_before_the_answer(self, drs_simulator_server: Any, victim: Any) -> None:
        drs_simulator_server.load(scenario(3), speed=60)
        drs_simulator_server.add_fault("StartRecovery", hold=True, times=1)
        process = victim(launch_and_look)
        process.wait_until(lambda: calls(drs_simulator_server, "StartRecovery"))
        process.kill()
        assert [job.adopted for job in launch(ids(3))] == [True]
        assert jobs_by_server() == Counter(ids(3))

    @pytest.mark.parametrize(
        ("work", "point"),
        [(launch_and_stay, "launched"), (launch_and_look, "looked")],
        ids=["after the answer and before it is stored", "while waiting"],
    )
    def test_after_the_answer(
        self, drs_simulator_server: Any, victim: Any, work: Callable[[Callable[[str], None]], None], point: str
    ) -> None:
        drs_simulator_server.load(scenario(3), speed=60)
        process = victim(work)
        process.wait_for(point)
        process.kill()
        assert [job.adopted for job in launch(ids(3))] == [True]
        assert jobs_by_server() == Counter(ids(3))


def test_two_at_the_same_time_start_one_job(drs_simulator_server: Any) -> None:
    """A worker that Airflow thinks dead goes on while the next try begins."""
    from concurrent.futures import ThreadPoolExecutor

    drs_simulator_server.load(scenario(3), speed=60)
    with ThreadPoolExecutor(4) as pool:
        jobs = [job for found in pool.map(lambda _: launch(ids(3)), range(4)) for job in found]
    assert len({job.job_id for job in jobs}) == 1
    assert jobs_by_server() == Counter(ids(3))


class TestKey:
    def test_a_clear_is_a_generation_and_a_retry_is_not(self, task_context: Any) -> None:
        from drs_provider.operators.drs import DrsStartRecoveryOperator

        task = DrsStartRecoveryOperator(task_id="launch", servers=ids(1), retries=2)
        # As Airflow keeps it: 0 + retries at first, try_number + retries after a clear.
        assert generation_of(task_context(task, try_number=1, max_tries=2)) == 0
        assert generation_of(task_context(task, try_number=3, max_tries=2)) == 0
        assert generation_of(task_context(task, try_number=4, max_tries=5)) == 3

    def test_values_fit_and_stay_apart(self) -> None:
        long = "r" * 300
        keys = {LaunchKey("d", long + end, "w").chunk(ids(1)) for end in "ab"}
        assert len(keys) == 2
        assert all(len(key) <= 256 for key in keys)
        assert tag_value("a~b") != tag_value("a_b")
        assert len(LaunchKey("d", long, "w").run) <= 256

    def test_the_chunk_depends_on_the_servers_and_not_on_their_order(self) -> None:
        assert KEY.chunk(ids(3)) == KEY.chunk(reversed(ids(3)))
        assert KEY.chunk(ids(3)) != KEY.chunk(ids(2))

    def test_a_job_knows_its_generation_and_attempt(self) -> None:
        key = LaunchKey("d", "r", "w", generation=4, attempt=2)
        job = {"tags": {LAUNCH_TAG: key.chunk(ids(1)), RUN_TAG: key.run}}
        assert LaunchKey("d", "r", "w").of_job(job) == key
        assert LaunchKey("d", "r", "w2").of_job(job) is None
        assert LaunchKey("d", "r", "w").of_job({"tags": {}}) is None
