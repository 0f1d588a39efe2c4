"""The short form of the campaign: one round of faults, of a fixed seed, on a real Airflow."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from tests.chaos.campaign import figures
from tests.chaos.rounds import Round
from tests.chaos.site import Site

ROOT = Path(__file__).parents[2]
# Each kind of process once, the dangerous moment, and AWS at its worst; the kinds that cost Airflow minutes are left to
# the long form.
KINDS = (
    "kill while StartRecovery is held",
    "kill task",
    "500 after the effect",
    "truncated pages",
    "throttling",
)


@pytest.mark.e2e
@pytest.mark.timeout(900)
def test_a_round_of_faults_loses_nothing_and_launches_nothing_twice() -> None:
    subprocess.run([str(ROOT / "scripts" / "system-packages.sh"), "postgresql"], check=True)
    site = Site(rng=random.Random(1))
    with site.running():
        # A machine that runs other tests at the same time is slow in its own right: order and number are judged here,
        # seconds in the long form.
        one = Round(site, 20, 0, cases=2, kinds=KINDS, most_waves=3, patience=120.0)
        result = one.run()
    assert result.violations == [], "\n".join([*result.violations, *one.story()])
    assert sum(result.runs.values()) >= 2
    assert "not ended" not in result.runs
    assert result.faults, "nothing struck"
    assert "| violations | 0 |" in figures(result, 20, 1)
