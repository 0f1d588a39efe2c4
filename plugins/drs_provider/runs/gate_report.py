"""What the report says of a run's gates: which there were, who passed them and when, and which were marked by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from drs_provider.runs.custody import (
    ENDED_STATES,
    Chain,
    GateRecord,
    confirm_problem,
    preflight_problem,
    recovery_approval,
    unapproved,
    wave_approval,
)

if TYPE_CHECKING:
    from drs_provider.plan import Wave

__all__ = ["gates_of_run", "gone_around"]

_AROUND = frozenset({"marked by hand", "not passed"})


def gates_of_run(chain: Chain, waves: Iterable[Wave]) -> list[dict[str, Any]]:
    """Return every gate of a run, in the shape of the report's ``Gate``.

    :param chain: what is known of all gates.
    :param waves: the waves that take part in the run.
    """
    asks = recovery_approval(chain.plan, chain.run.mode) is not None
    let_go = True if chain.missed else None
    found = [_gate(chain, "confirm", "recovery", confirm_problem(chain), required=True, asks=asks, recorded=let_go)]
    unchecked = preflight_problem(chain)
    found.append(_gate(chain, "preflight", "preflight", unchecked, required=True, recorded=chain.checked))
    for wave in waves:
        if wave.approval is None:
            continue
        gate, approval = f"{wave.name}.approve", wave_approval(wave, chain.run.mode)
        required = approval is not None and not chain.glass_broken
        problem = (
            unapproved(
                chain.records.get(gate), approval, starter=chain.starter, unknown=chain.unknown, glass=chain.glass
            )
            if approval and required
            else None
        )
        found.append(_gate(chain, gate, wave.name, problem, required=required, asks=required))
    return found


def gone_around(gates: Iterable[dict[str, Any]]) -> list[str]:
    """Return the gates that a run went around, each with how."""
    return [f"{gate['gate']} ({gate['state']})" for gate in gates if gate["required"] and gate["state"] in _AROUND]


def _gate(
    chain: Chain,
    gate: str,
    where: str,
    problem: str | None,
    *,
    required: bool,
    asks: bool = False,
    recorded: bool | None = None,
) -> dict[str, Any]:
    record, state = chain.records.get(gate), chain.states.get(gate)
    # A gate before it that refuses the run has Airflow skip it; of a run that was not refused, a person did.
    first = ("confirm", "preflight")
    before = [chain.states.get(each) for each in (first[: first.index(gate)] if gate in first else first)]
    is_recorded = (record is not None) if recorded is None else recorded
    shown = _state(state, record, problem, required, is_recorded, refused="failed" in before)
    people = [answer.name for answer in record.answers] if record else []
    if record and record.decision == "confirmed" and not people and record.starter:
        people = [record.starter]
    return {
        "gate": gate,
        "where": where,
        "required": required,
        "asks": asks,
        "state": shown,
        "by": people,
        "at": record.decided.isoformat() if record else None,
        "reason": None if shown == "not reached" else problem or (record.reason if record else None),
    }


def _state(
    state: str | None,
    record: GateRecord | None,
    problem: str | None,
    required: bool,
    recorded: bool,
    *,
    refused: bool,
) -> str:
    if state not in ENDED_STATES or state in ("upstream_failed", "removed") or (state == "skipped" and refused):
        return "not reached"
    if state == "failed":
        return "refused"
    if not required:
        return "not required"
    if problem is None and state == "success":
        return "break glass" if record and record.decision == "break glass" else "passed"
    return "not passed" if recorded else "marked by hand"
