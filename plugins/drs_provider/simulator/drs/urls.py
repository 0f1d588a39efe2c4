"""The URLs of DRS."""

from drs_provider.simulator.drs.responses import DrsResponse

url_bases = [r"https?://drs\.(.+)\.amazonaws\.com"]

url_paths = {
    "{0}/tags/(?P<resource_arn>.+)$": DrsResponse.dispatch,
    "{0}/(?P<operation>[A-Za-z]+)$": DrsResponse.dispatch,
}
