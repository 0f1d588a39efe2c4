"""Many stories of people and time: ``python -m tests.chaos.people_campaign --stories 300 --seed 0``.

It prints each story that has a violation, with everything that people did in it, and the figures at the end. Exit code
0: no violation. The same seed tells the same story.
"""

from __future__ import annotations

import argparse
import functools
import logging
import multiprocessing
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import boto3
import botocore.session
import pytest
import structlog
from moto import mock_aws

from drs_provider.simulator.simulation import Simulation, activate, deactivate
from tests.chaos.cases import REGION
from tests.chaos.people import Story, import_package, tell

__all__ = ["figures", "main"]

_LONGEST = 600
"""Seconds after which a story is given up, which is a violation: something waits for ever."""


def figures(stories: list[Story], seed: int, minutes: float) -> str:
    """Return the figures of stories as a Markdown table."""
    states = Counter(state for story in stories for state in story.states)
    launches = sum((story.launches for story in stories), Counter[str]())
    kinds = sum((story.kinds for story in stories), Counter[str]())
    rows = [
        ("stories", f"{len(stories)}, from seed {seed} on"),
        ("minutes", f"{minutes:.0f}"),
        ("runs and continued runs", ", ".join(f"{count} {state}" for state, count in sorted(states.items()))),
        ("launches of a server", ", ".join(f"{count} {mode}" for mode, count in sorted(launches.items()))),
        *((kind, str(count)) for kind, count in sorted(kinds.items())),
        ("stories with a violation", str(sum(bool(story.violations) for story in stories))),
    ]
    return "\n".join(["| figure | value |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows)])


def _told(seed: int) -> Story:
    with mock_aws(), pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        simulation = activate(Simulation())
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.alarm(_LONGEST)
        try:
            return tell(seed, simulation, patch, Path(folder))
        except (Exception, KeyboardInterrupt):
            return Story(seed, violations=[traceback.format_exc()[-3000:]], acts=["the story itself failed"])
        finally:
            signal.alarm(0)
            deactivate()


def main(arguments: list[str] | None = None) -> int:
    """Tell stories; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(100000))
    parser.add_argument("--stories", type=int, default=300)
    parser.add_argument("--jobs", type=int, default=2, help="stories side by side")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="after which no more stories begin")
    parser.add_argument("--verbose", action="store_true", help="print every story")
    chosen = parser.parse_args(arguments)
    print(f"seed {chosen.seed}", flush=True)
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    import_package()
    # Each story has clients of its own, and each would read megabytes of models again.
    botocore.session.create_loader = functools.cache(botocore.session.create_loader)
    for service in ("drs", "ec2", "ssm", "iam", "sts", "service-quotas"):
        boto3.client(service, REGION)  # type: ignore[call-overload]
    stories, began = [], time.monotonic()
    # A process for each story: what one leaves behind in moto and botocore costs the others memory and time.
    with multiprocessing.get_context("fork").Pool(chosen.jobs, maxtasksperchild=1) as pool:
        for story in pool.imap_unordered(_told, range(chosen.seed, chosen.seed + chosen.stories)):
            stories.append(story)
            if chosen.verbose or story.violations:
                lines = [*(f"  VIOLATION {one}" for one in story.violations), *story.acts]
                print(f"story {story.seed}: {story.states}, {dict(story.launches)}", *lines, sep="\n  ", flush=True)
            if len(stories) % 10 == 0:
                print(f"{len(stories)} stories, {time.monotonic() - began:.0f} s", flush=True)
            if time.monotonic() - began > 60 * chosen.minutes:
                break
    print(figures(stories, chosen.seed, (time.monotonic() - began) / 60))
    return 1 if any(story.violations for story in stories) else 0


if __name__ == "__main__":
    sys.exit(main())
