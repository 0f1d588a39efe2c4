"""The scripts with which an instance asks itself whether it is healthy, for a shell and for PowerShell.

Each asks again until it gets the right answer or its time is over, prints what it got last, and exits with 0 or 1.
"""

from __future__ import annotations

import shlex

from drs_provider.operators.ssm_script import Document

__all__ = ["http_document", "tcp_document"]

_SHELL = """\
end=$(( $(date +%s) + {seconds} ))
while :; do
{ask}
  [ "$(date +%s)" -ge "$end" ] && {{ echo "$said"; exit 1; }}
  sleep 3
done"""

_SHELL_TCP = """\
  timeout 5 bash -c 'exec 3<>"/dev/tcp/$0/$1"' {host} {port} 2>/dev/null &&
    {{ echo 'port {port} accepts connections'; exit 0; }}
  said='port {port} accepts no connection'"""

_SHELL_HTTP = """\
  code=$(curl -k -s -o /dev/null -m 10 -w '%{{http_code}}' {url}) || said="curl ended with status $?"
  [ "$code" = {expected} ] && {{ echo "answered $code"; exit 0; }}
  [ "${{code:-000}}" = 000 ] || said="answered $code, expected {expected}\""""

_POWERSHELL = """\
$end = (Get-Date).AddSeconds({seconds})
{before}while ($true) {{
{ask}
  if ((Get-Date) -ge $end) {{ Write-Output $said; exit 1 }}
  Start-Sleep -Seconds 3
}}"""

_POWERSHELL_TCP = """\
  $client = New-Object System.Net.Sockets.TcpClient
  try {{
    if ($client.ConnectAsync({host}, {port}).Wait(5000)) {{ Write-Output 'port {port} accepts connections'; exit 0 }}
  }} catch {{ }} finally {{ $client.Close() }}
  $said = 'port {port} accepts no connection'"""

_POWERSHELL_HTTP = """\
  try {{
    $code = [int](Invoke-WebRequest -UseBasicParsing -Uri {url} -TimeoutSec 10 -MaximumRedirection 0).StatusCode
  }} catch {{
    $code = 0
    $said = $_.Exception.Message
    if ($_.Exception.Response) {{ $code = [int]$_.Exception.Response.StatusCode }}
  }}
  if ($code -eq {expected}) {{ Write-Output "answered $code"; exit 0 }}
  if ($code -ne 0) {{ $said = "answered $code, expected {expected}" }}"""

#: Windows PowerShell 5.1 can be told to pass over certificates in this way only.
_POWERSHELL_ANY_CERTIFICATE = (
    "[System.Net.ServicePointManager]::ServerCertificateValidationCallback = { $true }\n"
    "[System.Net.ServicePointManager]::SecurityProtocol = 'Tls12'\n"
)


def tcp_document(platform: str, *, host: str, port: int, seconds: int) -> Document:
    """Return the document that waits for a port.

    :param platform: ``Linux``, ``Windows`` or ``MacOS``.
    :param host: the instance's own name or address for itself.
    :param seconds: how long it asks.
    """
    if platform == "Windows":
        ask = _POWERSHELL_TCP.format(host=_quoted(host), port=port)
        return _powershell(ask, seconds)
    return _shell(_SHELL_TCP.format(host=shlex.quote(host), port=port), seconds)


def http_document(platform: str, *, url: str, expected_status: int, seconds: int) -> Document:
    """Return the document that waits for an answer with a status.

    :param platform: ``Linux``, ``Windows`` or ``MacOS``.
    :param seconds: how long it asks.
    """
    if platform == "Windows":
        ask = _POWERSHELL_HTTP.format(url=_quoted(url), expected=expected_status)
        return _powershell(ask, seconds, before=_POWERSHELL_ANY_CERTIFICATE)
    return _shell(_SHELL_HTTP.format(url=shlex.quote(url), expected=expected_status), seconds)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _shell(ask: str, seconds: int) -> Document:
    return "AWS-RunShellScript", {"commands": _SHELL.format(seconds=seconds, ask=ask).splitlines()}


def _powershell(ask: str, seconds: int, before: str = "") -> Document:
    script = _POWERSHELL.format(seconds=seconds, ask=ask, before=before)
    return "AWS-RunPowerShellScript", {"commands": script.splitlines()}
