"""The fault campaign: ``python -m tests.chaos.campaign --seed 7 --rounds 10``.

It prints its seed first, what struck and what was violated round by round, and the figures at the end. Exit code 0: no
violation. The same seed draws the same plans, worlds, faults and moments; what the machine makes of them may differ.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import time
from pathlib import Path
from statistics import median

from tests.chaos.people_rounds import PeopleRound
from tests.chaos.rounds import KINDS, Round, RoundResult
from tests.chaos.site import Site

__all__ = ["figures", "main"]


def figures(total: RoundResult, seed: int, rounds: int) -> str:
    """Return the figures of a campaign as a Markdown table."""
    waited = sorted(wait.ours for wait in total.waits)
    rows = [
        ("seed", str(seed)),
        ("rounds", str(rounds)),
        ("minutes", f"{total.seconds / 60:.0f}"),
        ("runs", ", ".join(f"{count} {state}" for state, count in sorted(total.runs.items()))),
        ("launches of a server", str(total.launches)),
        *((f"fault: {kind}", str(count)) for kind, count in sorted(total.faults.items())),
        ("waves that could start", str(len(waited))),
    ]
    if waited:
        rows += [
            ("their wait without a fault, median", f"{median(waited):.1f} s"),
            ("their wait without a fault, longest", f"{waited[-1]:.1f} s"),
        ]
    rows.append(("violations", str(len(total.violations))))
    return "\n".join(["| figure | value |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows)])


def main(arguments: list[str] | None = None) -> int:
    """Run a campaign; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(100000))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="the number of the first round, to repeat one of a seed")
    parser.add_argument("--cases", type=int, default=3, help="plans side by side")
    parser.add_argument("--faults", type=int, default=4, help="faults a round")
    parser.add_argument("--waves", type=int, default=15, help="the most waves of a plan")
    parser.add_argument(
        "--people", type=int, default=2, help="plans with people around them in a round of people; 0: none"
    )
    parser.add_argument("--only", choices=("faults", "people"), help="rounds of one kind; by default they alternate")
    parser.add_argument("--kind", action="append", default=[], choices=KINDS)
    parser.add_argument("--patience", type=float, default=15.0, help="seconds that a wave may wait without a fault")
    parser.add_argument("--keep", type=Path, help="leave logs and reports in this folder")
    parser.add_argument("--json", type=Path, help="append the figures of each round to this file")
    chosen = parser.parse_args(arguments)
    print(f"seed {chosen.seed}", flush=True)
    # Whoever ends the campaign ends its processes too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    total = RoundResult()
    site = Site(rng=random.Random(chosen.seed), keep=chosen.keep)
    with site.running():
        if not site.disk.mounted:
            print("disk full: left out, because a file system can only be mounted as root", flush=True)
        for number in range(chosen.first, chosen.first + chosen.rounds):
            one: Round | PeopleRound
            if chosen.only == "people" or (chosen.only is None and chosen.people and not chosen.kind and number % 2):
                one = PeopleRound(site, chosen.seed, number, stories=chosen.people)
            else:
                one = Round(
                    site,
                    chosen.seed,
                    # Every kind of fault is dealt, however many rounds lie between.
                    number if chosen.only or chosen.kind or not chosen.people else number // 2,
                    cases=chosen.cases,
                    faults=chosen.faults,
                    kinds=chosen.kind,
                    most_waves=chosen.waves,
                    patience=chosen.patience,
                )
            try:
                result = one.run()
            except Exception as error:  # What cannot be judged is no success; the other rounds go on.
                result = RoundResult(violations=[f"the round itself failed: {error!r}"])
            except KeyboardInterrupt:
                print("\n".join([f"round {number} was interrupted", *one.story()]), flush=True)
                raise
            total += result
            print(f"round {number}, {result.seconds:.0f} s, {dict(result.runs)}", flush=True)
            for line in one.story():
                print(f"  {line}", flush=True)
            for line in result.violations:
                print(f"  VIOLATION {line}", flush=True)
            if chosen.json:
                with chosen.json.open("a") as file:
                    row = {"seed": chosen.seed, "round": number, "runs": result.runs, "faults": result.faults}
                    row |= {"violations": result.violations, "launches": result.launches, "seconds": result.seconds}
                    row |= {"waits": [wait.ours for wait in result.waits], "at": time.time()}
                    file.write(json.dumps(row) + "\n")
    print(figures(total, chosen.seed, chosen.rounds))
    print(f"components started again by the keeper: {dict(site.restarts)}")
    return 1 if total.violations else 0


if __name__ == "__main__":
    sys.exit(main())
