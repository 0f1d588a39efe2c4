"""`aws:branch`: which step comes next, by the choices of a runbook."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from drs_provider.simulator.ssm.selectors import RunbookError

__all__ = ["choose"]

_TEXTS: Final[dict[str, Callable[[str, str], bool]]] = {
    "StringEquals": lambda value, wanted: value == wanted,
    "EqualsIgnoreCase": lambda value, wanted: value.lower() == wanted.lower(),
    "StartsWith": str.startswith,
    "EndsWith": str.endswith,
    "Contains": lambda value, wanted: wanted in value,
    "BooleanEquals": lambda value, wanted: value.lower() == wanted.lower(),
}
_NUMBERS: Final[dict[str, Callable[[float, float], bool]]] = {
    "NumericEquals": lambda value, wanted: value == wanted,
    "NumericGreater": lambda value, wanted: value > wanted,
    "NumericLesser": lambda value, wanted: value < wanted,
    "NumericGreaterOrEquals": lambda value, wanted: value >= wanted,
    "NumericLesserOrEquals": lambda value, wanted: value <= wanted,
}


def choose(inputs: Mapping[str, Any], resolved: Callable[[Any], Any]) -> str | None:
    """The name of the step that the first choice which holds goes on to, else the default; None for the next in order.

    :param resolved: replaces the references of a value.
    :raises RunbookError: a choice compares with an operator that Automation does not have, or what is no number.
    """
    for choice in inputs.get("Choices") or ():
        if _holds(choice, resolved):
            return str(choice["NextStep"])
    default = inputs.get("Default")
    return None if default is None else str(default)


def _holds(choice: Mapping[str, Any], resolved: Callable[[Any], Any]) -> bool:
    if "And" in choice:
        return all(_holds(each, resolved) for each in choice["And"])
    if "Or" in choice:
        return any(_holds(each, resolved) for each in choice["Or"])
    if "Not" in choice:
        return not _holds(choice["Not"], resolved)
    value = resolved(choice.get("Variable"))
    compared = [name for name in choice if name not in ("NextStep", "Variable")]
    for name in compared:
        wanted = resolved(choice[name])
        if name in _TEXTS:
            holds = _TEXTS[name](_text(value), _text(wanted))
        elif name in _NUMBERS:
            try:
                holds = _NUMBERS[name](float(value), float(wanted))
            except (TypeError, ValueError) as error:
                raise RunbookError(f"aws:branch compares {value} with {wanted}, which are not both numbers") from error
        else:
            raise RunbookError(f"aws:branch has no operator {name}")
        if not holds:
            return False
    if not compared:
        raise RunbookError("a choice of aws:branch compares with nothing")
    return True


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
