"""The URLs of Service Quotas."""

from drs_provider.simulator.servicequotas.responses import QuotasResponse

url_bases = [r"https?://servicequotas\.(.+)\.amazonaws\.com"]

url_paths = {"{0}/$": QuotasResponse.dispatch}
