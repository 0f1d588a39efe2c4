"""The parts of moto's inside that the simulator needs: they are named, found, and used in one place only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from moto.ec2.models.instances import Instance, InstanceBackend

from drs_provider.simulator import moto_compat
from drs_provider.simulator.moto_compat import patches, seams

COMPAT = Path(str(moto_compat.__file__)).parent
#: Of their own base classes, which moto's are.
OWN = {"self", "cls", "super"}


def gone(patch: pytest.MonkeyPatch) -> None:
    patch.delattr(InstanceBackend, "get_instance")


def other_parameters(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(InstanceBackend, "start_instances", lambda self, ids, force=False: [])


def set_no_more(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Instance, "__init__", lambda self: None)


@pytest.mark.parametrize(
    ("moved", "named"),
    [
        (gone, "moto.ec2.models.instances:InstanceBackend.get_instance is gone"),
        (other_parameters, "InstanceBackend.start_instances takes self, ids, force, and not self, instance_ids"),
        (set_no_more, "moto.ec2.models.instances:Instance has no _state"),
    ],
)
def test_a_seam_that_moves_is_named_before_anything_is_changed(monkeypatch, moved, named):
    seams.check()
    moved(monkeypatch)
    monkeypatch.setattr(patches, "_installed", False)
    with pytest.raises(seams.MotoChangedError, match="does not work with moto") as caught:
        patches.install({}, lambda name: None, lambda package, handler: handler, lambda original: original)
    assert named in str(caught.value)


def test_nothing_else_touches_what_is_private_to_moto():
    found = []
    for path in sorted(COMPAT.parent.rglob("*.py")):
        text = path.read_text()
        if COMPAT in path.parents or "from moto" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Attribute) and _is_private(node.attr) and not _is_own(node.value):
                found.append(f"{path.name}:{node.lineno} {ast.unparse(node)}")
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("moto"):
                found += [f"{path.name}:{node.lineno} {one.name}" for one in node.names if _is_private(one.name)]
    assert found == []


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _is_own(value: ast.expr) -> bool:
    """Whether it is of an object whose class the simulator makes, though its base may be moto's."""
    named = value.func if isinstance(value, ast.Call) else value
    return getattr(named, "id", "") in OWN
