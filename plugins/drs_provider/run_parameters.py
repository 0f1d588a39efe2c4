"""The run parameters of a plan's DAG: one list, which form, checks, advice, command line and documentation use."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal

__all__ = [
    "REAL_RECOVERY",
    "RUN_PARAMETERS",
    "RunParameter",
    "asked_overrides",
    "parameters_table",
    "run_parameter",
    "unknown_parameter",
]

REAL_RECOVERY = "Real recovery only"
"""The section of the form for what means nothing in a drill."""

_INSTANCE_ID = r"i-[0-9a-f]{8}([0-9a-f]{9})?"
_MOST_CODES = 100


@dataclass(frozen=True, kw_only=True)
class RunParameter:
    """One run parameter.

    :param name: its key in a run's ``conf``.
    :param title: the label in the form.
    :param meaning: for the README, the command line and the form; ``{plan}`` is the plan's name.
    :param more: what the form says besides.
    :param default: the form's value where nobody fills it in.
    :param schema: the value's JSON Schema, which Airflow checks when the run is triggered.
    :param read: takes the value as it was handed over, and returns it checked.
        Raises ``ValueError`` with what was expected, to be put behind the name.
    :param recovery_only: whether it means nothing in a drill.
    :param drill_refusal: why a drill refuses it; empty: it does not.
    :param choices: what the form offers: the plan's waves, or the codes of findings.
    :param restrict: whether the value can be nothing but one of the choices.
    """

    name: str
    title: str
    meaning: str
    more: str = ""
    default: Any = None
    schema: Mapping[str, Any] = field(default_factory=dict)
    read: Callable[[object], Any]
    recovery_only: bool = False
    drill_refusal: str = ""
    choices: Literal["waves", "findings"] | None = None
    restrict: bool = False

    @property
    def section(self) -> str | None:
        """The section of the form; None: the first one, for every run."""
        return REAL_RECOVERY if self.recovery_only else None

    def form_text(self, plan: str) -> str:
        """Return what stands below the field.

        :param plan: the plan's name.
        """
        return " ".join(filter(None, (self.meaning, self.more))).replace("`", "").replace("{plan}", plan)

    def help_text(self) -> str:
        """Return what the command line says of it."""
        return self.meaning.replace("`", "").replace("{plan}", "PLAN")


def _flag(value: object) -> bool:
    if value in (None, ""):
        return False
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    if isinstance(value, bool):
        return value
    raise ValueError("expected true or false")


def _line(longest: int) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value is None:
            return ""
        if not isinstance(value, (str, int, float)) or isinstance(value, bool):
            raise ValueError("expected a text")
        text = " ".join(str(value).split())
        if len(text) > longest:
            raise ValueError(f"it has {len(text)} characters; at most {longest} are allowed")
        return text

    return read


def _mode(value: object) -> str:
    if value in (None, ""):
        return "drill"
    if value not in ("drill", "recovery"):
        raise ValueError("expected drill or recovery")
    return str(value)


def _names(value: object) -> frozenset[str]:
    if value in (None, "", [], ()):
        return frozenset()
    names = [value] if isinstance(value, str) else value
    if isinstance(names, (list, tuple, set, frozenset)) and all(isinstance(name, str) for name in names):
        return frozenset(names)
    raise ValueError('expected a list of names, such as ["database", "app"]')


def _codes(value: object) -> frozenset[str]:
    if value in (None, "", [], ()):
        return frozenset()
    codes = re.split(r"[\s,]+", value.strip(" ,")) if isinstance(value, str) else value
    if isinstance(codes, (list, tuple, set, frozenset)) and all(isinstance(code, str) and code for code in codes):
        return frozenset(codes)
    raise ValueError('expected a list of the codes of findings, such as ["replication-lag"]')


def _moment(value: object) -> datetime | None:
    if value in (None, ""):
        return None
    try:
        # Python 3.10 does not read the "Z" that Airflow's form sends.
        time = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        raise ValueError("expected a date and time such as 2026-11-23T06:00:00+00:00") from None
    try:
        # In UTC, as everything that it is compared with: a time at the edge of the calendar has none.
        return (time if time.tzinfo else time.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)
    except OverflowError:
        raise ValueError("it lies outside of the calendar") from None


def _override(value: object) -> tuple[frozenset[str], str]:
    if not value:
        return frozenset(), ""
    findings = value.get("findings") if isinstance(value, Mapping) else None
    reason = value.get("reason") if isinstance(value, Mapping) else None
    if not isinstance(findings, (list, tuple)) or not findings or not isinstance(reason, str) or not reason.strip():
        raise ValueError(
            'it must name the findings and the reason, such as {"findings": ["replication-lag"], '
            '"reason": "the source site is gone"}'
        )
    return frozenset(map(str, findings)), reason.strip()


def _instances(value: object) -> frozenset[str]:
    if not value:
        return frozenset()
    ids = value if isinstance(value, (list, tuple)) else [None]
    if all(isinstance(one, str) and re.fullmatch(_INSTANCE_ID, one) for one in ids):
        return frozenset(ids)
    raise ValueError("expected a list of instance ids such as i-0123456789abcdef0")


_OVERRIDE_REFUSED = "override is for real recoveries; a drill must show the findings, not pass over them"
_TEXT = {"type": ["null", "string"]}

RUN_PARAMETERS: tuple[RunParameter, ...] = (
    RunParameter(
        name="mode",
        title="Mode",
        meaning="`drill` (default) or `recovery`. The schedule starts drills only.",
        more="A drill launches a copy of every server from the same launch template, so into the same subnet as a "
        "recovery, and terminates the copies afterwards. A recovery is real, and its instances stay.",
        default="drill",
        schema={
            "type": "string",
            "enum": ["drill", "recovery"],
            "values_display": {"drill": "Drill: rehearse, then clean up", "recovery": "RECOVERY: the real thing"},
        },
        read=_mode,
    ),
    RunParameter(
        name="waves",
        title="Waves",
        meaning="The waves to run; those left out count as done. Empty: all of them.",
        default=[],
        # Nullable, as all that may stay empty: otherwise the form marks it as required.
        schema={"type": ["null", "array"]},
        read=_names,
        choices="waves",
        restrict=True,
    ),
    RunParameter(
        name="snapshot_time",
        title="Point in time",
        meaning="Recover each server to its last snapshot at or before this time. Empty: the latest data.",
        schema={"type": ["null", "string"], "format": "date-time"},
        read=_moment,
    ),
    RunParameter(
        name="skip_scripts",
        title="Skip scripts",
        meaning="Launch the servers without the scripts before and after each wave.",
        default=False,
        schema={"type": "boolean"},
        read=_flag,
    ),
    RunParameter(
        name="keep_drill_instances",
        title="Keep drill instances",
        meaning="Leave the instances of a drill running. You pay for them until you terminate them.",
        default=False,
        schema={"type": "boolean"},
        read=_flag,
    ),
    RunParameter(
        name="ticket",
        title="Ticket",
        meaning="The change or incident that the run belongs to, such as `CHG-1234`; in the report and notifications.",
        default="",
        schema={**_TEXT, "maxLength": 100, "pattern": r"^[^\x00-\x1f]*$"},
        read=_line(100),
    ),
    RunParameter(
        name="replace_instances",
        title="Replace live instances",
        meaning="Ids of live instances that a launch may delete, as DRS does with a server's previous instance.",
        more="For example i-0123456789abcdef0. Without this, a server with a live instance of a recovery, or of "
        "another drill, is not launched. It is recorded in the report.",
        default=[],
        schema={"type": ["null", "array"], "items": {"type": "string", "pattern": f"^{_INSTANCE_ID}$"}},
        read=_instances,
    ),
    RunParameter(
        name="take_over",
        title="Take over an installation",
        meaning="The `[drs_provider] installation` of an Airflow that is lost: its jobs of this plan, mode and run id "
        "are adopted.",
        default="",
        schema={**_TEXT, "maxLength": 256},
        read=_line(256),
    ),
    RunParameter(
        name="confirm",
        title="Confirm a real recovery",
        meaning="Type the plan's name, `{plan}`: without it no recovery starts.",
        default="",
        schema=_TEXT,
        read=lambda value: str(value or ""),
        recovery_only=True,
    ),
    RunParameter(
        name="stop_drill",
        title="Stop a drill in progress",
        meaning="A drill of the plan that is in progress stops, terminates what it launched, and makes way.",
        more="Otherwise the recovery waits for its end.",
        default=False,
        schema={"type": "boolean"},
        read=_flag,
        recovery_only=True,
        drill_refusal="stop_drill is for real recoveries; a drill waits for the one before it",
    ),
    RunParameter(
        name="override_findings",
        title="Override preflight findings",
        meaning="The codes of findings that the recovery goes on in spite of, recorded in the report.",
        default=[],
        schema={"type": ["null", "array"], "items": {"type": "string"}, "maxItems": _MOST_CODES},
        read=_codes,
        recovery_only=True,
        drill_refusal=_OVERRIDE_REFUSED,
        choices="findings",
    ),
    RunParameter(
        name="override_reason",
        title="Why it goes on in spite of them",
        meaning="The reason for `override_findings`; one needs the other.",
        default="",
        schema={**_TEXT, "maxLength": 2000},
        read=_line(2000),
        recovery_only=True,
        drill_refusal=_OVERRIDE_REFUSED,
    ),
    RunParameter(
        name="override",
        title="Override, as one JSON object",
        meaning='The same in one: `{"findings": ["replication-lag"], "reason": "…"}`.',
        schema={
            "type": ["null", "object"],
            "properties": {
                "findings": {"type": "array", "items": {"type": "string"}, "minItems": 1},
                "reason": {"type": "string", "minLength": 1},
            },
            "required": ["findings", "reason"],
            "additionalProperties": False,
        },
        read=_override,
        recovery_only=True,
        drill_refusal=_OVERRIDE_REFUSED,
    ),
    RunParameter(
        name="break_glass",
        title="Break glass",
        meaning="The reason why it goes on without approvals; counts only for `[drs_provider] break_glass_users`.",
        more="Everybody is notified, and it stands at the top of the report.",
        schema={**_TEXT, "maxLength": 500},
        read=_line(500),
        recovery_only=True,
        drill_refusal="break_glass is for real recoveries; a drill can wait for its approvals",
    ),
)

_BY_NAME = {parameter.name: parameter for parameter in RUN_PARAMETERS}


def run_parameter(name: str) -> RunParameter:
    """Return the run parameter of that name.

    :raises KeyError: there is none.
    """
    return _BY_NAME[name]


def asked_overrides(values: Mapping[str, Any]) -> tuple[frozenset[str], str]:
    """Return the codes that a run overrides and the reason, of both ways to write them; nothing and empty: none.

    :param values: the run parameters, read.
    """
    codes, reason = values["override"]
    reasons = dict.fromkeys(filter(None, (reason, values["override_reason"])))
    return codes | values["override_findings"], "; ".join(reasons)


def unknown_parameter(name: object) -> str:
    """Say that there is no run parameter of a name, and offer the nearest one; empty where there is one."""
    if name in _BY_NAME:
        return ""
    # Here: the package of plans brings pydantic, which the command line does without until a command needs it.
    from drs_provider.plan.nearest import nearest

    return f"unknown run parameter {name!r}" + (
        nearest(str(name), _BY_NAME) or f"; expected one of {', '.join(_BY_NAME)}"
    )


def parameters_table() -> str:
    """Return the README's table of run parameters, as Markdown."""
    rows = ["| parameter | meaning |", "| --- | --- |"]
    for each in RUN_PARAMETERS:
        only = "Recovery only. " if each.section else ""
        meaning = each.meaning.replace("`{plan}`, ", "").replace(", `{plan}`", "")
        rows.append(f"| `{each.name}` | {only}{meaning} |")
    return "\n".join(rows) + "\n"
