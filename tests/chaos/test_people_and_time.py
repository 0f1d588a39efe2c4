"""People mark, clear, delete and wait: nothing real is launched, sent or terminated that nobody confirmed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from drs_provider.simulator.simulation import Simulation
from tests.chaos.people import tell

# PEOPLE_STORIES=300 tells three hundred of them, from PEOPLE_SEED on.
SEEDS = range(
    int(os.environ.get("PEOPLE_SEED", "0")),
    int(os.environ.get("PEOPLE_SEED", "0")) + int(os.environ.get("PEOPLE_STORIES", "6")),
)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_gate_is_walked_around(
    seed: int, drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    story = tell(seed, drs_simulator, monkeypatch, tmp_path)
    assert story.violations == [], "\n".join([*story.violations, "", *story.acts, f"states: {story.states}"])
