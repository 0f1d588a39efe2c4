"""Watches clients: every answer on the wire, before botocore reads it, must be as the service model says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from drs_provider.simulator.deviations import SHAPES, UNDECLARED_ERRORS

__all__ = ["Contract", "problems"]


class Contract:
    """What is wrong with the answers that clients get, which operations succeeded, and which deviations occurred."""

    def __init__(self, *clients: Any) -> None:
        self.problems: set[str] = set()
        self.seen: set[str] = set()
        self.deviations: set[str] = set()
        for client in clients:
            client.meta.events.register("before-parse", self._check)

    def _check(self, response_dict: dict[str, Any], operation_model: Any, **_: Any) -> None:
        body = json.loads(response_dict["body"] or b"{}")
        if response_dict["status_code"] >= 300:
            self._check_error(response_dict, body, operation_model)
            return
        name = operation_model.name
        self.seen.add(name)
        if response_dict["status_code"] != operation_model.http.get("responseCode", 200):
            self.problems.add(f"{name}: status {response_dict['status_code']}")
        if operation_model.output_shape is not None:
            self._note(problems(operation_model.output_shape, body, name), operation_model)

    def _check_error(self, response_dict: dict[str, Any], body: dict[str, Any], operation_model: Any) -> None:
        name, status = operation_model.name, response_dict["status_code"]
        code = response_dict["headers"].get("x-amzn-errortype") or body["__type"]
        shape = next((shape for shape in operation_model.error_shapes if _code(shape) == code), None)
        if shape is None:
            deviation = f"{operation_model.service_model.service_name}.{code}"
            self.deviations.add(deviation)
            if deviation not in UNDECLARED_ERRORS:
                self.problems.add(f"{name}: {code} is not declared")
            return
        wanted = shape.metadata.get("error", {}).get("httpStatusCode", 400)
        if status != wanted:
            self.problems.add(f"{name}: {code} has status {status}, not {wanted}")
        if operation_model.service_model.metadata["protocol"] == "json":
            # The protocol's own, which models name or not, with a capital letter or without.
            body = {key: value for key, value in body.items() if key not in ("__type", "message", "Message")}
        self._note(problems(shape, body, f"{name}!{code}"), operation_model)

    def _note(self, found: Iterable[tuple[str, str]], operation_model: Any) -> None:
        for shape, problem in found:
            deviation = f"{operation_model.service_model.service_name}.{shape}"
            if deviation in SHAPES:
                self.deviations.add(deviation)
            else:
                self.problems.add(problem)


def _code(shape: Any) -> str:
    return str(shape.metadata.get("error", {}).get("code", shape.name))


def problems(shape: Any, value: Any, path: str) -> Iterator[tuple[str, str]]:
    """What does not fit: the name of the shape, and the problem in words."""
    kind = shape.type_name
    if kind == "structure":
        if not isinstance(value, dict):
            yield shape.name, f"{path}: {value!r} is no structure"
            return
        yield from ((shape.name, f"{path}.{name}: is not in the model") for name in set(value) - set(shape.members))
        yield from ((shape.name, f"{path}.{name}: is missing") for name in shape.required_members if name not in value)
        for name, member in shape.members.items():
            if name in value:
                yield from problems(member, value[name], f"{path}.{name}")
    elif kind == "list":
        if not isinstance(value, list) or not _in_range(shape, len(value)):
            yield shape.name, f"{path}: {value!r} is no {shape.name}"
            return
        for item in value:
            yield from problems(shape.member, item, f"{path}[]")
    elif kind == "map":
        if not isinstance(value, dict) or not _in_range(shape, len(value)):
            yield shape.name, f"{path}: {value!r} is no {shape.name}"
            return
        for key, item in value.items():
            yield from problems(shape.key, key, f"{path}.key")
            yield from problems(shape.value, item, f"{path}.value")
    elif not _fits(shape, kind, value):
        yield shape.name, f"{path}: {value!r} is no {shape.name}"


def _fits(shape: Any, kind: str, value: Any) -> bool:
    if kind == "string":
        pattern = shape.metadata.get("pattern", "")
        # Python knows no Unicode classes such as \\p{L}.
        matches = not pattern or "\\p{" in pattern or (isinstance(value, str) and re.fullmatch(pattern, value))
        listed = not shape.enum or value in shape.enum
        return bool(isinstance(value, str) and _in_range(shape, len(value)) and listed and matches)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind in ("integer", "long"):
        return type(value) is int and _in_range(shape, value)
    if kind == "timestamp" and shape.serialization.get("timestampFormat") == "iso8601":
        return isinstance(value, str)
    return kind in ("timestamp", "double") and type(value) in (int, float)


def _in_range(shape: Any, size: int) -> bool:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    return (low is None or size >= low) and (high is None or size <= high)
