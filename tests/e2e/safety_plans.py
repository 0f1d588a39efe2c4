"""Plans whose runs are approved, refused, cancelled, unwound and told of, and the servers that they need."""

from __future__ import annotations

from typing import Any

from drs_provider.rehearsal.processes import free_port
from tests.e2e.stack import servers

TOPIC = "arn:aws:sns:us-west-2:123456789012:dr-events"
MISSING_TOPIC = "arn:aws:sns:us-west-2:123456789012:nobody-made-this"

HEALTH_PORT = free_port()
"""Where the test serves what the recovered servers of the plan ``healthy`` are said to serve."""

GUARDED = f"""
version: 1
name: guarded
target: {{region: us-west-2}}
objectives: {{rto: 40s, rpo: 5m}}
recovery:
  approval: {{message: "Is the site lost?", approvers: [alice], timeout: 10m}}
  on_failure: rollback
notify:
  - sns: {TOPIC}
  - sns: {MISSING_TOPIC}
  - notifier: airflow.sdk.BaseOperator
  - notifier: unittest.__main__.Pager
  - notifier: airflow.providers.smtp.notifications.smtp.SmtpNotifier
    args: {{to: a@example.com, files: [/proc/self/environ]}}
defaults: {{retries: 0}}
waves:
  - name: base
    servers: [{{tags: {{Tier: gbase}}}}]
    rollback: [{{name: undo, automation: Undo-Base}}]
  - name: middle
    depends_on: [base]
    servers: [{{tags: {{Tier: gmid}}}}]
  - name: top
    depends_on: [middle]
    servers: [{{tags: {{Tier: gtop}}}}, {{tags: {{Tier: gtopok}}}}]
"""

BYPASSED = """
version: 1
name: bypassed
target: {region: us-west-2}
objectives: {rto: 45m}
recovery: {approval: {approvers: [alice], timeout: 10m}}
waves: [{name: only, servers: [{tags: {Tier: bypass}}], approval: {approvers: [alice], timeout: 10m}}]
"""

OVER = """
version: 1
name: over
target: {region: us-west-2}
waves:
  - name: only
    servers: [{tags: {Tier: over}}]
    on_failure: rollback
    health_checks: [{type: tcp, port: 8080, via: ssm}]
"""

SECOND = """
version: 1
name: second
target: {region: us-west-2}
recovery: {approval: {approvers: [alice, carol], timeout: 10m}}
waves: [{name: only, servers: [{tags: {Tier: duo}}]}]
"""

PAIR = """
version: 1
name: pair
target: {region: us-west-2}
recovery: {approval: {approvers: [alice, carol], count: 2, timeout: 10m}}
waves: [{name: only, servers: [{tags: {Tier: pair}}]}]
"""

GLASS = f"""
version: 1
name: glass
target: {{region: us-west-2}}
recovery: {{approval: {{approvers: [alice], timeout: 10m}}}}
notify: [{{sns: "{TOPIC}"}}]
waves: [{{name: only, servers: [{{tags: {{Tier: glass}}}}], approval: {{approvers: [alice], timeout: 10m}}}}]
"""

THROTTLED = f"""
version: 1
name: throttled
target: {{region: us-west-2}}
defaults: {{retries: 0}}
waves: [{{name: only, servers: [{{id: {servers("thrott", 1)[0]["id"]}}}], approval: {{timeout: 10m}}}}]
"""

DENIED = """
version: 1
name: denied
target: {region: us-west-2}
defaults: {retries: 0}
waves: [{name: only, servers: [{tags: {Tier: denied}}]}]
"""

GATED = """
version: 1
name: gated
target: {region: us-west-2}
waves:
  - {name: late, servers: [{tags: {Tier: late}}], approval: {approvers: [alice], timeout: 4s}}
  - {name: refused, servers: [{tags: {Tier: refuse}}], approval: {approvers: [alice], timeout: 10m}}
  - {name: behind, depends_on: [refused], servers: [{tags: {Tier: behind}}]}
  - {name: approved, servers: [{tags: {Tier: approv}}], approval: {message: "Storage failed over?", timeout: 10m}}
"""

CHECKED = """
version: 1
name: checked
target: {region: us-west-2}
defaults: {max_replication_lag: 5m}
waves:
  - {name: lagging, servers: [{tags: {Tier: lagged}}]}
  - {name: gone, servers: [{tags: {Tier: gone}}, {tags: {Tier: nothing}}]}
"""

CANCELLED = """
version: 1
name: cancelled
target: {region: us-west-2}
waves:
  - {name: first, servers: [{tags: {Tier: cancel}}]}
  - {name: then, depends_on: [first], servers: [{tags: {Tier: canthen}}]}
"""

MARKED = """
version: 1
name: marked
target: {region: us-west-2}
waves:
  - {name: failed, servers: [{tags: {Tier: markfl}}]}
  - {name: succeeded, servers: [{tags: {Tier: markok}}]}
"""

HEALTHY = f"""
version: 1
name: healthy
target: {{region: us-west-2}}
objectives: {{rto: 45m, rpo: 5m}}
drill: {{keep_for: 12s}}
waves:
  - name: web
    servers: [{{tags: {{Tier: health}}}}]
    health_checks:
      - {{type: instance_status}}
      - {{type: ssm_online}}
      - {{type: tcp, port: {HEALTH_PORT}}}
      - {{type: http, path: /up, port: {HEALTH_PORT}}}
      - {{type: tcp, port: 8080, via: ssm}}
      - {{type: http, path: /up, port: 8080, via: ssm}}
  - name: sick
    servers: [{{tags: {{Tier: sick}}}}]
    health_checks: [{{type: http, path: /down, port: {HEALTH_PORT}, timeout: 5s}}]
"""

STUCK = """
version: 1
name: stuck
target: {region: us-west-2}
waves: [{name: only, servers: [{tags: {Tier: stuck}}]}]
"""

URGENT = """
version: 1
name: urgent
target: {region: us-west-2}
waves: [{name: only, servers: [{tags: {Tier: urgent}}]}]
"""

HURRIED = """
version: 1
name: hurried
target: {region: us-west-2}
drill: {keep_for: 12h}
waves: [{name: only, servers: [{tags: {Tier: hurry}}]}]
"""

SECRET = "hunter2-correct-horse"
SECRETS = {"AIRFLOW_CONN_DRS_SECRET_SHOP": f"generic://shop-login:{SECRET}@localhost"}
# dora is no approver of any plan.
SETTINGS = {**SECRETS, "AIRFLOW__DRS_PROVIDER__BREAK_GLASS_USERS": "dora"}
SECRETIVE = """
version: 1
name: secretive
target: {region: us-west-2}
recovery: {on_failure: rollback}
defaults: {script_parameters: {Password: "{{connection:drs_secret_shop.password}}"}}
waves:
  - name: only
    servers: [{tags: {Tier: secret}}]
    pre_launch: [{name: unlock, automation: Shop-Unlock}]
    post_launch: [{name: tell, run_command: Shop-Tell}, {name: fail, automation: Shop-Fail}]
    rollback: [{name: undo, automation: Shop-Lock}]
"""

_WITH_PASSWORD = {"duration": 10, "parameters": {"Password": None}}
DOCUMENTS: dict[str, Any] = {
    "Shop-Tell": {**_WITH_PASSWORD, "kind": "Command"},
    "Shop-Unlock": {**_WITH_PASSWORD, "kind": "Automation"},
    "Shop-Lock": {**_WITH_PASSWORD, "kind": "Automation"},
    "Shop-Fail": {**_WITH_PASSWORD, "kind": "Automation", "outcome": "Failed"},
}

PLANS = {
    "guarded": GUARDED,
    "bypassed": BYPASSED,
    "over": OVER,
    "second": SECOND,
    "pair": PAIR,
    "glass": GLASS,
    "throttled": THROTTLED,
    "denied": DENIED,
    "gated": GATED,
    "checked": CHECKED,
    "cancelled": CANCELLED,
    "marked": MARKED,
    "healthy": HEALTHY,
    "stuck": STUCK,
    "urgent": URGENT,
    "hurried": HURRIED,
    "secretive": SECRETIVE,
}

_LOCAL = {"private_ip": "127.0.0.1", "copy_private_ip": True}

SERVERS: dict[str, dict[str, Any]] = {
    "gbase": {},
    "gmid": {},
    # Slow enough for the alarms to ring before it fails.
    "gtop": {"outcome": "failed", "durations": {"conversion": 1200}},
    "gtopok": {},
    "bypass": {},
    "over": {},
    "duo": {},
    "pair": {},
    "glass": {},
    "thrott": {},
    "denied": {},
    "late": {},
    "refuse": {},
    "behind": {},
    "approv": {},
    "lagged": {"lag": "PT2H"},
    "gone": {"replication": "DISCONNECTED"},
    # Long enough in its job to be cancelled there.
    "cancel": {"durations": {"conversion": 2400}},
    "canthen": {},
    "markfl": {"durations": {"conversion": 3600}},
    "markok": {"durations": {"conversion": 3600}},
    "health": _LOCAL,
    "sick": _LOCAL,
    "stuck": {},
    "urgent": {"durations": {"conversion": 2400}},
    "hurry": {},
    "secret": {},
    # Of no plan: an earlier drill and an earlier recovery left instances that no run may touch.
    "oldrec": {"launched": "recovery"},
    "olddrl": {"launched": "drill"},
}
"""By tier: one server each, and how it differs from one that just works."""
