"""From what a task is given as instances to instance ids: a list, one id, or the return value of a launch's wait."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["Instances", "instance_ids_of"]

#: A list of instance ids, one id, or the return value of the wait for a launch.
Instances = Sequence[str] | Mapping[str, Any] | str


def instance_ids_of(instances: Instances | None) -> tuple[list[str], dict[str, str]]:
    """Return the instance ids, each once and in order, and the source servers without an instance, with the reason.

    A text may be one id, several with commas, or the JSON of a list or of a launch: a template that is rendered
    without ``render_template_as_native_obj`` gives that, or the ``repr`` of it.

    :param instances: instance ids, or ``{"servers": {source server id: {"ec2_instance_id", "launch_status", …}}}``.
        Of a launch, the servers count that were launched and have an instance.
    :raises ValueError: when it is none of these.
    """
    value: Any = _parsed(instances) if isinstance(instances, str) else instances
    if value is None:
        return [], {}
    if isinstance(value, Mapping):
        if not isinstance(value.get("servers"), Mapping):
            raise ValueError("instances: a mapping has to be the return value of a launch's wait, with 'servers'")
        left_out: dict[str, str] = {}
        chosen: list[str] = []
        for server_id, server in value["servers"].items():
            status = server.get("launch_status")
            if server.get("ec2_instance_id") and status in (None, "LAUNCHED"):
                chosen.append(server["ec2_instance_id"])
            else:
                left_out[server_id] = server.get("reason") or str(status or "no instance")
        return list(dict.fromkeys(chosen)), left_out
    flat = [item for entry in value for item in (entry if isinstance(entry, (list, tuple)) else [entry])]
    if not all(isinstance(item, str) and item for item in flat):
        raise ValueError(f"instances: expected instance ids, got {flat!r}")
    return list(dict.fromkeys(flat)), {}


def _parsed(text: str) -> Any:
    stripped = text.strip()
    if stripped[:1] in ("[", "{"):
        try:
            return json.loads(stripped)
        except ValueError:
            import ast

            try:
                return ast.literal_eval(stripped)
            except (SyntaxError, ValueError):
                raise ValueError("instances: the text is neither JSON nor a Python literal") from None
    return [part.strip() for part in stripped.split(",") if part.strip()] or None
