"""Reads a scenario file, and refuses a bad one with file, line and what was expected."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from drs_provider.simulator.scenario import Scenario

__all__ = ["ScenarioError", "ScenarioProblem", "load_scenario"]


@dataclass(frozen=True)
class ScenarioProblem:
    """One thing that is wrong, and where. `line` counts from 1; 0 where there is no file."""

    file: str
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


class ScenarioError(ValueError):
    """A scenario is not valid; `problems` holds everything that is wrong with it."""

    def __init__(self, problems: list[ScenarioProblem]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


def load_scenario(source: Path | str | Mapping[str, Any] | Scenario) -> Scenario:
    """A scenario from a file's path, or from plain data.

    :raises ScenarioError: the file cannot be read, or says what a scenario cannot say.
    """
    if isinstance(source, Scenario):
        return source
    if isinstance(source, Mapping):
        return _validated(dict(source), "scenario", None)
    path = Path(source)
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
        repeated = [ScenarioProblem(str(path), line, key, "stands here twice") for key, line in _repeated(node)]
    except OSError as error:
        raise ScenarioError([ScenarioProblem(str(path), 0, "", error.strerror or str(error))]) from error
    except UnicodeDecodeError as error:
        raise ScenarioError([ScenarioProblem(str(path), 0, "", "expected UTF-8 text")]) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        message = getattr(error, "problem", None) or str(error)
        raise ScenarioError([ScenarioProblem(str(path), mark.line + 1 if mark else 0, "", message)]) from error
    except (ValueError, AttributeError, RecursionError) as error:
        # Dates that do not exist, a !!timestamp that is none, and an alias inside its own anchor.
        raise ScenarioError([ScenarioProblem(str(path), 0, "", f"not readable as YAML: {error}")]) from error
    if repeated:
        raise ScenarioError(repeated)
    if not isinstance(data, dict):
        raise ScenarioError([ScenarioProblem(str(path), 1, "", "expected a mapping with keys such as `servers`")])
    return _validated(data, str(path), node)


def _validated(data: dict[str, Any], file: str, node: yaml.Node | None) -> Scenario:
    try:
        scenario = Scenario.model_validate(data)
    except ValidationError as error:
        raise ScenarioError([_problem(detail, file, node) for detail in error.errors()]) from error
    twice = list(_same_server_twice(scenario))
    if twice:
        raise ScenarioError([ScenarioProblem(file, _line(node, loc), _key(loc), text) for loc, text in twice])
    return scenario


def _problem(detail: Any, file: str, node: yaml.Node | None) -> ScenarioProblem:
    loc = tuple(detail["loc"])
    if detail["type"] == "extra_forbidden":
        known = _keys_at(loc[:-1])
        near = difflib.get_close_matches(str(loc[-1]), known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(sorted(known))}"
        message = f"unknown key; {hint}"
    elif detail["type"] == "missing":
        message = "is missing, and is required"
    else:
        message = str(detail["msg"]).removeprefix("Value error, ")
    return ScenarioProblem(file, _line(node, loc), _key(loc), message)


def _keys_at(loc: tuple[str | int, ...]) -> list[str]:
    """The keys that the model allows at a place."""
    model: type[BaseModel] = Scenario
    for part in loc:
        if isinstance(part, str) and part in model.model_fields:
            inner = next(_models_in(model.model_fields[part].annotation), None)
            if inner is not None:
                model = inner
    return list(model.model_fields)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models_in(inner)


def _same_server_twice(scenario: Scenario) -> Iterator[tuple[tuple[str | int, ...], str]]:
    seen: set[str] = set()
    places = [(("servers", n), server) for n, server in enumerate(scenario.servers)]
    for index, other in enumerate(scenario.accounts):
        places += [(("accounts", index, "servers", n), server) for n, server in enumerate(other.servers)]  # type: ignore[misc]
    for loc, server in places:
        if server.id in seen:
            yield (*loc, "id"), f"{server.id} is the id of another server too"
        seen.add(server.id)


def _key(loc: tuple[str | int, ...]) -> str:
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else str(part))
    return text


def _line(node: yaml.Node | None, loc: tuple[str | int, ...]) -> int:
    """The line of the deepest node that the place names; the key's line where it is a key."""
    if node is None:
        return 0
    line: int = node.start_mark.line + 1
    for part in loc:
        found: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    found, line = value, key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = node.value[part]
            line = found.start_mark.line + 1
        if found is None:
            continue  # pydantic names union branches too, which the file does not have.
        node = found
    return line


def _repeated(node: yaml.Node | None) -> Iterator[tuple[str, int]]:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield str(key.value), key.start_mark.line + 1
            seen.add(str(key.value))
            yield from _repeated(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _repeated(value)
