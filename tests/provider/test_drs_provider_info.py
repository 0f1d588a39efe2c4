"""What Airflow is told about the package: in the shape that it wants, and true."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import airflow
import jsonschema
import pytest
from airflow.sdk import BaseOperatorLink

from drs_provider.provider_info import get_provider_info

INFO = get_provider_info()


def test_it_has_the_shape_that_airflow_wants() -> None:
    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())
    jsonschema.validate(INFO, schema)


def test_every_option_has_a_description_and_a_default() -> None:
    options = INFO["config"]["drs_provider"]["options"]
    assert {"installation", "plans_folder", "reports_folder"} <= set(options)
    assert all(option["description"] and "default" in option for option in options.values())


@pytest.mark.parametrize("kind", ["hooks", "operators", "sensors", "triggers"])
def test_the_modules_exist_and_hold_what_they_are_named_for(kind: str) -> None:
    integrations = {one["integration-name"] for one in INFO["integrations"]}
    ending = kind.removesuffix("s").capitalize()
    for entry in INFO[kind]:
        assert entry["integration-name"] in integrations
        for name in entry["python-modules"]:
            module: Any = import_module(name)
            assert any(public.endswith(ending) for public in module.__all__), name


def test_the_links_exist() -> None:
    for path in INFO["extra-links"]:
        module, _, name = path.rpartition(".")
        assert issubclass(getattr(import_module(module), name), BaseOperatorLink)


def test_no_link_of_an_operator_is_left_out() -> None:
    told = {path.rpartition(".")[2] for path in INFO["extra-links"]}
    for kind in ("operators", "sensors"):
        for entry in INFO[kind]:
            for name in entry["python-modules"]:
                module: Any = import_module(name)
                for public in module.__all__:
                    links = getattr(getattr(module, public), "operator_extra_links", ())
                    # The base class of all operators has a property there.
                    used = {type(link).__name__ for link in links} if isinstance(links, tuple) else set()
                    assert used <= told
