"""Links from a task to its command or automation in the AWS console. None of them can break a task."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from airflow.providers.amazon.aws.links.base_aws import BASE_AWS_CONSOLE_LINK, BaseAwsLink
from airflow.providers.amazon.aws.utils.suppress import return_on_error

__all__ = ["SsmAutomationLink", "SsmCommandLink"]


class _SsmLink(BaseAwsLink):
    """A link whose URL is known as soon as the work is started, and shown from then on."""

    id_name: ClassVar[str]

    @classmethod
    @return_on_error("")  # type: ignore[untyped-decorator]
    def url(cls, hook: AwsGenericHook[Any], identity: str) -> str:
        """Return the console's URL, or an empty text where there is no console."""
        domain = cls.get_aws_domain(hook.conn_partition)
        region = hook.conn_region_name
        return cls().format_link(aws_domain=domain, region_name=region, **{cls.id_name: identity}) if domain else ""

    @classmethod
    @return_on_error(None)  # type: ignore[untyped-decorator]
    def publish(cls, context: Any, operator: Any, hook: AwsGenericHook[Any], identity: str) -> None:
        """Store the link while the task still runs.

        Airflow pushes the URLs of links when the task leaves the worker. A person who has to approve, or wants to see
        output, wants it before.
        """
        cls.persist(
            context=context,
            operator=operator,
            region_name=hook.conn_region_name,
            aws_partition=hook.conn_partition,
            **{cls.id_name: identity},
        )
        if operator.do_xcom_push and (url := cls.url(hook, identity)):
            context["ti"].xcom_push(key=cls().xcom_key, value=url)


class SsmCommandLink(_SsmLink):
    """The command in the console of Run Command, with the whole output of each instance."""

    name = "SSM command"
    key = "ssm_command"
    id_name = "command_id"
    format_str = BASE_AWS_CONSOLE_LINK + "/systems-manager/run-command/{command_id}?region={region_name}"


class SsmAutomationLink(_SsmLink):
    """The automation in the console, with its steps; approvals are given there."""

    name = "SSM automation"
    key = "ssm_automation"
    id_name = "automation_execution_id"
    format_str = (
        BASE_AWS_CONSOLE_LINK + "/systems-manager/automation/execution/{automation_execution_id}?region={region_name}"
    )
