"""The simulator's modules import each other in one direction."""

from __future__ import annotations

import grimp

ROOT = "drs_provider.simulator"


def test_no_module_imports_itself_by_way_of_others():
    """Imports within functions count: they are how a circle hides."""
    graph = grimp.build_graph("drs_provider", exclude_type_checking_imports=True, cache_dir=None)
    left = {name for name in graph.modules if name.startswith(f"{ROOT}.")}
    assert len(left) > 90
    while free := {one for one in left if not left & graph.find_modules_directly_imported_by(one)}:
        left -= free
    assert sorted(left) == [], "each of these is in a circle, or imports one that is"
