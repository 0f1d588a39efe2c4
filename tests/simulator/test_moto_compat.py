"""The parts of moto's inside that the simulator needs: they are named, found, and used in one place only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from moto.core.serialize import EC2Serializer
from moto.ec2.models.instances import Instance, InstanceBackend

from drs_provider.simulator import moto_compat
from drs_provider.simulator.moto_compat import patches, seams

COMPAT = Path(str(moto_compat.__file__)).parent
#: Of their own base classes, which moto's are.
OWN = {"self", "cls", "super"}


def gone(patch: pytest.MonkeyPatch) -> None:
    patch.delattr(EC2Serializer, "_serialize_body")


def other_parameters(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(InstanceBackend, "start_instances", lambda self, ids, force=False: [])


def set_no_more(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Instance, "__init__", lambda self: None)


@pytest.mark.parametrize(
    ("moved", "named"),
    [
        (gone, "moto.core.serialize:EC2Serializer._serialize_body is gone"),
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
            of = getattr(getattr(node, "value", None), "id", "")
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and of not in OWN:
                if not node.attr.startswith("__"):
                    found.append(f"{path.name}:{node.lineno} {of}.{node.attr}")
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("moto"):
                found += [f"{path.name}:{node.lineno} {one.name}" for one in node.names if one.name.startswith("_")]
    assert found == []
