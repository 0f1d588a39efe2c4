"""What a run records of its plan when it begins: enough to see every later change, and no value that may be a secret.

The record lies in XCom, where everybody who may read the DAG sees it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from drs_provider.plan.models import RecoveryPlan
from drs_provider.plan.references import reference

__all__ = ["without_values"]

# What SSM looks up itself: {{ssm:name}}, {{ssm-secure:name}}, {{resolve:secretsmanager:name}}.
_REFERENCE = re.compile(r"\{\{ *(ssm|ssm-secure|resolve:[a-z-]+):[^{}]+\}\}")


def without_values(plan: RecoveryPlan) -> dict[str, Any]:
    """The plan as JSON, with a short digest in the place of every value of a script's parameters and a notifier's args.

    A reference that SSM or Airflow looks up stays as it is. A digest has 24 bits: enough to see that a value changed,
    too little to find out what it was.
    """
    data = plan.model_dump(mode="json")
    for scripts in _scripts(data):
        for script in scripts or ():
            for key in ("parameters", "parameters_by_mode"):
                script[key] = _hidden(script[key])
    for key in ("script_parameters", "script_parameters_by_mode"):
        if data["defaults"].get(key):
            data["defaults"][key] = _hidden(data["defaults"][key])
    for notification in data["notify"]:
        notification["args"] = _hidden(notification["args"])
    return data


def _scripts(data: Mapping[str, Any]) -> list[Any]:
    holders = [*data["waves"], data["defaults"]]
    return [holder.get(section) for holder in holders for section in ("pre_launch", "post_launch", "rollback")]


def _hidden(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _hidden(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_hidden(one) for one in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and (_REFERENCE.fullmatch(value) or reference(value)):
        return value
    return "#" + hashlib.sha256(json.dumps(value).encode()).hexdigest()[:6]
