"""CreateLaunchTemplateVersion with a SourceVersion, which moto does not look at.

What the request leaves out is as the source version says; without a source it is lost, as in EC2. What the request
names, a list too, is replaced whole.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

from moto.ec2.responses.launch_templates import LaunchTemplates

__all__ = ["install"]


def install() -> None:
    """Let moto's EC2 look at it. Called once a process."""
    responses: Any = LaunchTemplates
    responses.create_launch_template_version = _from_source(LaunchTemplates.create_launch_template_version)


def _from_source(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def create_launch_template_version(response: Any) -> Any:
        source = response._get_param("SourceVersion")
        # Before there is another latest one.
        before = _data_of(response, str(source)) if source else {}
        answer = original(response)
        # The data of the version itself, and not a copy of it.
        data = answer.result["LaunchTemplateVersion"]["LaunchTemplateData"]
        for name in before.keys() - data.keys():
            data[name] = before[name]
        return answer

    return create_launch_template_version


def _data_of(response: Any, version: str) -> dict[str, Any]:
    name, template_id = response._get_param("LaunchTemplateName"), response._get_param("LaunchTemplateId")
    ec2 = response.ec2_backend
    template = ec2.get_launch_template(template_id) if template_id else ec2.get_launch_template_by_name(name)
    found: dict[str, Any] = template.get_version(version).data
    return copy.deepcopy(found)
