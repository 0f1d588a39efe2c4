"""The shared poller: one call for all, adaptive, patient with what passes, quick with what does not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from drs_provider.aws.faults import Fault, TransientError
from drs_provider.triggers import polling
from drs_provider.triggers.polling import DeadlinePassed, Poller, PollFailed, PollKey, shared_poller


def aws_error(code: str, status: int) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": "said so"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Describe"
    )


class Service:
    """Answers polls from a dictionary, raises what it is told to, and counts."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.errors: list[Exception] = []
        self.refused: set[str] = set()
        self.clients = 0
        self.open = 0
        self.value = 0

    @asynccontextmanager
    async def _client(self) -> Any:
        self.clients += 1
        self.open += 1
        try:
            yield object()
        finally:
            self.open -= 1

    async def connect(self) -> Any:
        return self._client()

    async def fetch(self, client: Any, ids: Sequence[str]) -> dict[str, int]:
        self.calls.append(list(ids))
        if self.errors:
            raise self.errors.pop(0)
        if self.refused.intersection(ids):
            raise aws_error("ValidationException", 400)
        return {one: self.value for one in ids if not one.startswith("unknown")}

    def poller(self, batch: int = 200) -> Poller[int]:
        return shared_poller(PollKey("test", "conn", "us-west-2"), self.connect, self.fetch, batch=batch)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(polling, "GATHER_SECONDS", 0.02)
    monkeypatch.setattr(polling, "MIN_GAP_SECONDS", 0.03)
    monkeypatch.setattr(polling, "LINGER_SECONDS", 0.1)
    monkeypatch.setattr(polling, "FIRST_BACKOFF_SECONDS", 0.05)
    yield


async def one_look(poller: Poller[int], *ids: str, seconds: float = 5.0) -> dict[str, int]:
    async with poller.watch(ids, lambda _: 1.0) as watch:
        return await watch.next(time.time() + seconds)


async def test_waits_that_start_together_share_one_call_and_one_client() -> None:
    service = Service()
    seen = await asyncio.gather(*(one_look(service.poller(), f"job{i}") for i in range(150)))
    assert [list(one) for one in seen] == [[f"job{i}"] for i in range(150)]
    assert len(service.calls) == 1
    assert service.clients == 1


async def test_more_ids_than_one_call_takes_are_polled_in_batches() -> None:
    service = Service()
    await asyncio.gather(*(one_look(service.poller(batch=40), f"job{i}") for i in range(100)))
    assert sorted(len(call) for call in service.calls) == [20, 40, 40]


async def test_pollers_are_apart_by_kind_connection_region_and_configuration() -> None:
    service = Service()
    keys = [
        PollKey.of("a", aws_conn_id="one", region_name="r"),
        PollKey.of("b", aws_conn_id="one", region_name="r"),
        PollKey.of("a", aws_conn_id="two", region_name="r"),
        PollKey.of("a", aws_conn_id="one", region_name="s"),
        PollKey.of("a", aws_conn_id="one", region_name="r", verify=False),
        PollKey.of("a", aws_conn_id="one", region_name="r", botocore_config={"read_timeout": 1}),
    ]
    pollers = {id(shared_poller(key, service.connect, service.fetch)) for key in keys + keys}
    assert len(pollers) == len(keys)


async def test_the_watch_decides_how_often_it_is_polled() -> None:
    service = Service()
    poller = service.poller()
    async with poller.watch(["slow"], lambda _: 10.0) as slow, poller.watch(["fast"], lambda _: 0.05) as fast:
        await slow.next(time.time() + 5)
        for _ in range(5):
            await fast.next(time.time() + 5)
    assert sum("fast" in call for call in service.calls) >= 5
    assert sum("slow" in call for call in service.calls) == 1


async def test_looks_of_many_drift_apart_and_stay_near_their_interval() -> None:
    watch = Service().poller().watch(["job"], lambda _: 100.0)
    pauses = []
    for _ in range(200):
        now = time.monotonic()
        watch.deliver({"job": 0}, slowdown=1.0)
        pauses.append(watch.next_at - now)
    assert all(89.5 < pause < 110.5 for pause in pauses), "a tenth to either side"
    assert max(pauses) - min(pauses) > 5, "in step, a hundred triggerers would ask at the same moment"


@pytest.mark.parametrize(
    "error",
    [
        aws_error("ThrottlingException", 429),
        aws_error("InternalServerException", 500),
        aws_error("ExpiredTokenException", 403),
        EndpointConnectionError(endpoint_url="http://nowhere"),
        asyncio.TimeoutError(),
        ConnectionResetError(),
    ],
    ids=lambda error: type(error).__name__ + str(getattr(error, "response", {}).get("Error", {}).get("Code", "")),
)
async def test_a_transient_error_does_not_end_a_wait(error: Exception) -> None:
    service = Service()
    service.errors = [error, error]
    assert await one_look(service.poller(), "job", seconds=20) == {"job": 0}
    assert len(service.calls) == 3


async def test_throttling_keeps_the_client_and_slows_the_watches_down() -> None:
    service = Service()
    service.errors = [aws_error("ThrottlingException", 429)]
    poller = service.poller()
    async with poller.watch(["job"], lambda _: 0.1) as watch:
        await watch.next(time.time() + 5)
        assert watch.seconds == pytest.approx(0.1 * 2 * 0.8)
        await watch.next(time.time() + 5)
        await watch.next(time.time() + 5)
        assert watch.seconds == pytest.approx(0.1, rel=0.1)
    assert service.clients == 1


async def test_one_account_that_throttles_slows_the_waits_of_no_other() -> None:
    throttled, other = Service(), Service()
    throttled.errors = [aws_error("ThrottlingException", 429) for _ in range(1000)]
    keys = {service: PollKey("test", f"aws_{name}", "us-west-2") for name, service in (("a", throttled), ("b", other))}
    pollers = {service: shared_poller(key, service.connect, service.fetch) for service, key in keys.items()}
    async with pollers[throttled].watch(["a"], lambda _: 0.05) as a, pollers[other].watch(["b"], lambda _: 0.05) as b:
        for _ in range(5):
            assert await b.next(time.time() + 5) == {"b": 0}
        assert a.latest == {}
    assert throttled.calls
    assert pollers[other].trouble == ""


async def test_expired_credentials_are_cured_by_a_new_client() -> None:
    service = Service()
    service.errors = [aws_error("ExpiredTokenException", 403)]
    await one_look(service.poller(), "job")
    assert service.clients == 2
    assert service.open == 1


async def test_one_bad_id_fails_its_own_wait_only() -> None:
    service = Service()
    service.refused = {"job3"}
    waits = [one_look(service.poller(), f"job{i}", seconds=10) for i in range(8)]
    seen = await asyncio.gather(*waits, return_exceptions=True)
    assert isinstance(seen[3], PollFailed)
    assert "job3: ValidationException: said so" in str(seen[3])
    assert [one for i, one in enumerate(seen) if i != 3] == [{f"job{i}": 0} for i in range(8) if i != 3]
    assert sum(call == ["job3"] for call in service.calls) >= polling.DEFINITE_TRIES


async def test_the_deadline_is_the_waiters_own_and_names_the_trouble() -> None:
    service = Service()
    poller = service.poller()
    async with poller.watch(["job"], lambda _: 0.05) as watch:
        await watch.next(time.time() + 5)
        service.errors = [aws_error("InternalServerException", 500)] * 100
        begun = time.monotonic()
        with pytest.raises(TransientError, match="InternalServerException"):
            while True:
                await watch.next(time.time() + 0.4)
    assert time.monotonic() - begun < 1.5


async def test_a_passed_deadline_still_gets_one_look() -> None:
    service = Service()
    async with service.poller().watch(["job"], lambda _: 0.05) as watch:
        assert await watch.next(time.time() - 100) == {"job": 0}
        with pytest.raises(DeadlinePassed):
            await watch.next(time.time() - 100)


async def test_an_id_that_aws_does_not_know_is_missing() -> None:
    service = Service()
    assert await one_look(service.poller(), "unknown-1", "job") == {"job": 0}


async def test_the_client_is_closed_when_nobody_waits_and_opened_again_when_somebody_does() -> None:
    service = Service()
    await one_look(service.poller(), "job")
    await asyncio.sleep(0.4)
    assert service.open == 0
    await one_look(service.poller(), "job")
    assert service.clients == 2


async def test_a_call_goes_on_through_transient_errors_and_ends_at_definite_ones() -> None:
    service = Service()
    errors: list[Exception] = [ConnectionResetError()]

    async def ask(client: Any) -> str:
        if errors:
            raise errors.pop()
        return "answer"

    assert await service.poller().call(ask, time.time() + 10) == "answer"
    errors.append(aws_error("AccessDeniedException", 403))
    with pytest.raises(ClientError, match="AccessDenied"):
        await service.poller().call(ask, time.time() + 10)


@pytest.mark.parametrize("steps", range(4))
async def test_a_cancellation_that_comes_together_with_the_event_is_not_lost(steps: int) -> None:
    event = asyncio.Event()
    waiting = asyncio.ensure_future(polling._happens(event, 30))
    await asyncio.sleep(0.01)
    event.set()
    for _ in range(steps):
        await asyncio.sleep(0)
    if not waiting.done():
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_the_client_of_calls_is_closed_when_nobody_calls_any_more() -> None:
    service = Service()

    async def ask(client: Any) -> str:
        await asyncio.sleep(0.3)
        return "answer"

    assert await service.poller().call(ask, time.time() + 10) == "answer"
    assert (service.clients, service.open) == (1, 1)
    await asyncio.sleep(0.5)
    assert service.open == 0


def test_a_new_event_loop_has_pollers_of_its_own() -> None:
    service = Service()

    async def look() -> dict[str, int]:
        return await one_look(service.poller(), "job")

    assert asyncio.run(look()) == {"job": 0}
    assert asyncio.run(look()) == {"job": 0}
    assert service.clients == 2
    assert service.open == 0


async def test_a_deadline_that_passes_while_aws_does_not_answer_says_nothing_of_what_is_waited_for() -> None:
    service = Service()
    service.errors = [aws_error("ThrottlingException", 429)] * 50
    async with service.poller().watch(["job1"], lambda _: 0.05) as watch:
        watch._looked = True  # As after a first look that showed something.
        with pytest.raises(TransientError) as unanswered:
            await watch.next(time.time() + 0.3)
    assert (unanswered.value.operation, unanswered.value.fault) == ("Describe", Fault.THROTTLED)


async def test_a_deadline_after_an_answer_is_a_deadline() -> None:
    service = Service()
    service.errors = [aws_error("ThrottlingException", 429)]
    async with service.poller().watch(["job1"], lambda _: 9.0) as watch:
        assert await watch.next(time.time() + 5) == {"job1": 0}
        with pytest.raises(DeadlinePassed):
            await watch.next(time.time() + 0.2)
