"""How servers are launched: what DRS and EC2 hold, what is wanted, and the way from one to the other.

A server's launch settings are in two layers: its DRS launch configuration, and the default version of its EC2 launch
template. Wanted settings are a mapping with some of the keys of :class:`~.state.Settings` as plain values; nothing here
knows where they come from.
"""

from drs_provider.aws.launch_settings.apply import ChangedError, NotAppliedError, apply
from drs_provider.aws.launch_settings.compare import Change, Comparison, compare
from drs_provider.aws.launch_settings.resources import Resources, UnresolvedError
from drs_provider.aws.launch_settings.state import LaunchState, NoTemplateError, Settings, as_request, read

__all__ = [
    "Change",
    "ChangedError",
    "Comparison",
    "LaunchState",
    "NoTemplateError",
    "NotAppliedError",
    "Resources",
    "Settings",
    "UnresolvedError",
    "apply",
    "as_request",
    "compare",
    "read",
]
