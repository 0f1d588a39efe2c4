"""A check that the private parts of another library are where they were.

A library promises nothing of its inside. What this package uses of it is listed as seams, in one module for each
library, and a release that moves one is named, and not found out by an answer that is slightly wrong.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["moved_seams"]


def moved_seams(
    attributes: Iterable[str],
    signatures: Mapping[str, Sequence[str]],
    set_by_init: Mapping[str, Sequence[str]] | None = None,
) -> list[str]:
    """Return what is not where it was, in words, one text for each seam; empty where everything is.

    :param attributes: what must be there, as ``module:object.attribute``.
    :param signatures: functions that are called or replaced, with the names that their parameters must begin with.
    :param set_by_init: classes, with the names of attributes that their constructors must set.
    """
    set_by_init = set_by_init or {}
    missing = [f"{path} is gone" for path in (*attributes, *signatures, *set_by_init) if _find(path) is None]
    return [*missing, *_changed(signatures), *_unset(set_by_init)]


def _changed(signatures: Mapping[str, Sequence[str]]) -> Iterable[str]:
    for path, names in signatures.items():
        found = _find(path)
        if found is None:
            continue
        parameters = tuple(inspect.signature(inspect.unwrap(found)).parameters)
        if parameters[: len(names)] != tuple(names):
            yield f"{path} takes {', '.join(parameters)}, and not {', '.join(names)}"


def _unset(set_by_init: Mapping[str, Sequence[str]]) -> Iterable[str]:
    for path, names in set_by_init.items():
        made = _find(path)
        if made is None:
            continue
        known = set(inspect.unwrap(made.__init__).__code__.co_names)
        yield from (f"{path} has no {name}" for name in names if name not in known)


def _find(path: str) -> Any:
    module, _, attributes = path.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for name in attributes.split("."):
            found = vars(found)[name] if isinstance(found, type) and name in vars(found) else getattr(found, name)
    except (ImportError, AttributeError):
        return None
    return found.__func__ if isinstance(found, (classmethod, staticmethod)) else found
