"""AWS does not answer for minutes: the run waits, succeeds, and launches and sends everything once."""

from __future__ import annotations

from pathlib import Path

import pytest

from drs_provider.simulator.simulation import Simulation
from tests.chaos.silence import CAUSES, Silence, run_in_silence

# The whole is `make silence`; these are one of each kind of call, and everything at once.
SOME = ("StartRecovery", "SendCommand", "StartAutomationExecution", "DescribeJobs", "ListCommandInvocations")


@pytest.mark.parametrize("operation", SOME)
def test_an_operation_that_is_throttled_for_twenty_minutes_fails_nothing(
    operation: str, drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    silence = Silence(frozenset({operation}), 20)
    outcome = run_in_silence(drs_simulator, monkeypatch, tmp_path, silence, "recovery")
    assert outcome.as_it_should_be, outcome
    assert silence.refused[operation] > 1
    assert outcome.minutes > 20


@pytest.mark.parametrize("cause", CAUSES)
def test_all_of_aws_is_silent_for_ten_minutes(
    cause: str, drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    outcome = run_in_silence(drs_simulator, monkeypatch, tmp_path, Silence(frozenset({"*"}), 10, cause), "recovery")
    assert outcome.as_it_should_be, outcome


def test_the_end_of_a_drill_waits_too(
    drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    silence = Silence(frozenset({"TerminateRecoveryInstances", "DescribeInstances"}), 20)
    outcome = run_in_silence(drs_simulator, monkeypatch, tmp_path, silence, "drill")
    assert outcome.as_it_should_be, outcome
    assert silence.refused["TerminateRecoveryInstances"] > 1
