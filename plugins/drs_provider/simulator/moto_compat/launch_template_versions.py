"""CreateLaunchTemplateVersion with a SourceVersion, which moto does not look at, and DeleteLaunchTemplateVersions.

What the request leaves out is as the source version says; without a source it is lost, as in EC2. What the request
names, a list too, is replaced whole. A deleted version's number is never given out again, and the default version is
not deleted.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import InvalidLaunchTemplateVersionNotFound
from moto.ec2.models.launch_templates import LaunchTemplate
from moto.ec2.responses.launch_templates import LaunchTemplates

__all__ = ["install"]


def install() -> None:
    """Let moto's EC2 look at it. Called once a process."""
    responses: Any = LaunchTemplates
    responses.create_launch_template_version = _from_source(LaunchTemplates.create_launch_template_version)
    responses.delete_launch_template_versions = _delete_versions
    responses.describe_launch_template_versions = _without_deleted(LaunchTemplates.describe_launch_template_versions)
    templates: Any = LaunchTemplate
    templates.get_version = _existing(LaunchTemplate.get_version)
    templates.latest_version = _latest(LaunchTemplate.latest_version)


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
    template = _template(response)
    found: dict[str, Any] = template.get_version(version).data
    return copy.deepcopy(found)


def _template(response: Any) -> Any:
    name, template_id = response._get_param("LaunchTemplateName"), response._get_param("LaunchTemplateId")
    ec2 = response.ec2_backend
    return ec2.get_launch_template(template_id) if template_id else ec2.get_launch_template_by_name(name)


def _deleted(template: Any) -> set[int]:
    # moto finds a version by its place in a list: a deleted one keeps its place.
    found: set[int] = vars(template).setdefault("_drs_simulator_deleted", set())
    return found


def _latest(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def latest_version(template: Any) -> Any:
        return next(one for one in reversed(template.versions) if one.number not in _deleted(template))

    return latest_version


def _existing(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def get_version(template: Any, num: Any) -> Any:
        if str(num).lower() == "$latest":
            return template.latest_version()
        version = original(template, num)
        if version.number in _deleted(template):
            raise InvalidLaunchTemplateVersionNotFound(template_id=template.id, version=num)
        return version

    return get_version


def _without_deleted(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def describe_launch_template_versions(response: Any) -> Any:
        answer = original(response)
        templates = response.ec2_backend.launch_templates
        answer.result["LaunchTemplateVersions"] = [
            one
            for one in answer.result["LaunchTemplateVersions"]
            if one["VersionNumber"] not in _deleted(templates[one["LaunchTemplateId"]])
        ]
        return answer

    return describe_launch_template_versions


def _delete_versions(response: Any) -> ActionResult:
    """DeleteLaunchTemplateVersions: each version is deleted, or named with the reason why not."""
    template = _template(response)
    named = {"LaunchTemplateId": template.id, "LaunchTemplateName": template.name}
    gone, kept = [], []
    for text in response._get_param("Versions", []):
        number = int(text)
        known = 0 < number <= len(template.versions) and number not in _deleted(template)
        if known and number != template.default_version_number:
            _deleted(template).add(number)
            gone.append({**named, "VersionNumber": number})
            continue
        code = "unexpectedError" if known else "launchTemplateVersionDoesNotExist"
        message = "The default version cannot be deleted" if known else f"There is no version {number}"
        kept.append({**named, "VersionNumber": number, "ResponseError": {"Code": code, "Message": message}})
    return ActionResult(
        {"SuccessfullyDeletedLaunchTemplateVersions": gone, "UnsuccessfullyDeletedLaunchTemplateVersions": kept}
    )
