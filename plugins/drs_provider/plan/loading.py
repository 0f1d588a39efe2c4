"""Plan files from a folder: one, all, or the one of a given name."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from drs_provider.plan.document import MAX_BYTES, Document, read_document
from drs_provider.plan.kinds import discover
from drs_provider.plan.models import RecoveryPlan
from drs_provider.plan.peek import top_level_name
from drs_provider.plan.problems import PlanError, Problem
from drs_provider.plan.recording import without_values
from drs_provider.plan.waves import Wave

__all__ = ["LoadedPlan", "PlanFolder", "find_plan", "load_plan", "plan_files", "plan_hash", "read_plans"]


@dataclass(frozen=True)
class LoadedPlan:
    """A valid plan, and where it comes from."""

    plan: RecoveryPlan
    path: Path
    hash: str
    """Of the plan's meaning: see :func:`plan_hash`."""

    def record(self) -> dict[str, Any]:
        """What a run records of the plan when it begins: ``{"hash": …, "plan": …}``, values of parameters hidden."""
        return {"hash": self.hash, "plan": without_values(self.plan)}

    def is_recorded(self, recorded: Mapping[str, Any]) -> bool:
        """Whether a run recorded this very plan, in this or in an earlier version of the package.

        :param recorded: what :meth:`record` returned when the run began.
        :return: true where the hashes are equal, or where the recorded plan, read by today's rules, means the same.
        """
        if recorded.get("hash") == self.hash:
            return True
        try:
            meant = plan_hash(RecoveryPlan.model_validate(recorded.get("plan")))
        except ValidationError:
            return False
        # An earlier version recorded values as they were.
        return meant in (self.hash, plan_hash(RecoveryPlan.model_validate(without_values(self.plan))))


@dataclass(frozen=True)
class PlanFolder:
    """What a folder of plan files holds."""

    plans: dict[str, LoadedPlan] = field(default_factory=dict)
    """The valid plans by name, in the order of their files."""
    problems: list[Problem] = field(default_factory=list)
    """Everything that is wrong with the other files."""


def plan_hash(plan: RecoveryPlan) -> str:
    """A hash of what a plan means.

    Comments, the order of keys, the spelling of a duration, the order where order has no meaning (waves, tags,
    ``depends_on``) and whether a value stands in ``defaults`` or on the wave do not change it; every value does. What
    is the format's own default counts as absent, so that a key which a later version adds leaves the hash of every
    present plan as it is.

    :return: SHA-256 in hexadecimal.
    """
    meaning = plan.model_dump(mode="json", exclude={"defaults"}, exclude_defaults=True)
    meaning["waves"].sort(key=lambda wave: wave["name"])
    for unordered, key in [(meaning, "tags"), *((wave, "depends_on") for wave in meaning["waves"])]:
        if key in unordered:
            unordered[key].sort()
    return hashlib.sha256(json.dumps(meaning, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def load_plan(path: str | Path) -> LoadedPlan:
    """Read one plan file. A content that this process has read before is not read again.

    :param path: the file.
    :return: the plan with its defaults applied, the path, and the plan's hash.
    :raises PlanError: the file cannot be read or is not valid; its ``problems`` are all that is wrong with the file.
    """
    path = Path(path)
    return _load(path, _read(path))


_READ: dict[bytes, tuple[RecoveryPlan, str]] = {}
"""The plans and hashes of the contents that this process, or the one that it was forked from, has read."""
_MOST_READ = 4096


def _load(path: Path, data: bytes) -> LoadedPlan:
    # By content, not by date: a file that was half written is another content, and one that only moved is the same.
    content = hashlib.sha256(data).digest()
    if content in _READ:
        plan, hash_ = _READ[content]
        return LoadedPlan(plan, path, hash_)
    document = read_document(data)
    error: ValidationError | None = None
    if document.root is not None:
        _know_steps(document.root.value, path)
        try:
            plan = RecoveryPlan.model_validate(document.root.value)
        except ValidationError as invalid:
            error = invalid
        else:
            if not document.troubles:
                if len(_READ) >= _MOST_READ:
                    _READ.clear()
                _READ[content] = plan, plan_hash(plan)
                return LoadedPlan(plan, path, _READ[content][1])
    from drs_provider.plan.explain import explain

    raise PlanError(explain(document, error, str(path)))


def _know_steps(value: Any, path: Path) -> None:
    """Look for kinds of steps from outside of this package where the plan or a wave has a key that is not known.

    :raises PlanError: one of them cannot be loaded.
    """
    waves = value.get("waves") if isinstance(value, dict) else None
    keys = {key for wave in waves if isinstance(wave, dict) for key in wave} if isinstance(waves, list) else set()
    own = value.keys() if isinstance(value, dict) else set()
    if keys <= Wave.model_fields.keys() and own <= RecoveryPlan.model_fields.keys():
        return
    try:
        discover()
    except Exception as error:
        reason = f"the kinds of steps that are installed cannot be loaded: {type(error).__name__}: {error}"
        raise PlanError([Problem(str(path), 1, 1, "waves", reason)]) from error


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            missing = "is a symbolic link to nothing" if path.is_symlink() else "does not exist"
            reason = "is not a regular file" if path.exists() else missing
            raise PlanError([Problem(str(path), 1, 1, "", reason)])
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PlanError([Problem(str(path), 1, 1, "", f"cannot be read: {reason}")]) from error


def plan_files(folder: str | Path) -> list[Path]:
    """The plan files of a folder: ``*.yaml`` and ``*.yml`` directly in it, in whatever case, hidden files excepted.

    :return: by name.

    :raises OSError: the folder cannot be listed.
    """
    return sorted(
        path
        for path in Path(folder).iterdir()
        if path.suffix.lower() in (".yaml", ".yml") and not path.name.startswith(".")
    )


def read_plans(folder: str | Path) -> PlanFolder:
    """Read every plan file of a folder.

    :param folder: a folder; see :func:`plan_files`.
    :return: the valid plans by name, and the problems of the files that are not valid. Of two valid files with one
        name, the one whose file name is the plan's name is the plan, else the first; the other is a problem. Never
        raises for what the folder holds or does not hold.
    """
    try:
        files = plan_files(folder)
    except OSError as error:
        return PlanFolder({}, [Problem(str(folder), 1, 1, "", f"cannot be read: {error.strerror or error}")])
    return read_files(files)


def read_files(files: list[Path]) -> PlanFolder:
    """Read some plan files, whose names must differ as those of one folder do."""
    loaded: list[LoadedPlan] = []
    problems: list[Problem] = []
    for path in files:
        try:
            loaded.append(load_plan(path))
        except PlanError as error:
            problems += error.problems
    chosen: dict[str, LoadedPlan] = {}
    for each in sorted(loaded, key=_precedence):
        name = each.plan.name
        if chosen.setdefault(name, each) is not each:
            problems.append(_taken(each, chosen[name].path))
    plans = {each.plan.name: each for each in loaded if chosen[each.plan.name] is each}
    return PlanFolder(plans, sorted(problems))


def _precedence(loaded: LoadedPlan) -> tuple[bool, Path]:
    return loaded.path.stem != loaded.plan.name, loaded.path


def _taken(loaded: LoadedPlan, other: Path) -> Problem:
    message = f"the name {loaded.plan.name} belongs to the plan in {other}: names are unique over all plan files"
    try:
        document = read_document(_read(loaded.path))
    except PlanError:
        document = Document("", None, [])
    if document.root is None:
        return Problem(str(loaded.path), 1, 1, "name", message)
    from drs_provider.plan.explain import Objection, located

    return located(document, document.text.splitlines(), str(loaded.path), Objection(("name",), message))


def find_plan(folder: str | Path, name: str) -> LoadedPlan | None:
    """Find one plan of a folder without reading the others: what :func:`read_plans` would have under that name.

    A worker does this before each task. Where the file is called as its plan, only that file is opened; else each file
    is searched for the name, and only those that hold it are parsed, up to their top-level ``name``.

    :param folder: a folder; see :func:`plan_files`.
    :param name: the plan's name.
    :return: the plan; ``None`` if no valid file of the folder has that name.
    """
    for suffix in (".yaml", ".yml"):
        if (loaded := _load_if_named(Path(folder, name + suffix), name, None)) is not None:
            return loaded
    try:
        files = plan_files(folder)
    except OSError:
        return None
    token = re.compile(rb"(?<![a-z0-9_-])" + re.escape(name.encode()) + rb"(?![a-z0-9_-])")
    for path in files:
        if (loaded := _load_if_named(path, name, token)) is not None:
            return loaded
    return None


def _load_if_named(path: Path, name: str, token: re.Pattern[bytes] | None) -> LoadedPlan | None:
    try:
        data = _read(path)
        # In an escaped text ("\x61") the name need not stand as it is.
        if token is not None and not token.search(data) and b"\\" not in data:
            return None
        if top_level_name(data) not in (name, None):
            return None
        loaded = _load(path, data)
    except PlanError:
        return None
    return loaded if loaded.plan.name == name else None
