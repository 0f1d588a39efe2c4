"""Every rule of the format has a refusal with the right place and words, and one file's problems come together."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml
from pydantic import ValidationError

from drs_provider.plan import Problem, RecoveryPlan
from drs_provider.plan.document import read_document
from drs_provider.plan.explain import explain

Problems = Callable[[str], list[Problem]]

HEAD = "version: 1\nname: shop\ntarget: {region: us-west-2}\n"
WAVES = "waves:\n  - name: db\n    servers: [{id: s-00000000000000001}]\n"
WAVE = HEAD + WAVES

SCRIPT = WAVE + "    post_launch: [{name: tell, automation: Shop-Tell, parameters: {P: "
PARAMETER = "waves[0].post_launch[0].parameters.P"
BY_MODE = WAVE + "    post_launch: [{name: tell, automation: Shop-Tell, parameters_by_mode: "
OF_SCRIPT = "waves[0].post_launch[0].parameters_by_mode"
DEFAULT = WAVE + "defaults: {script_parameters: {P: "

CASES = [
    # (text, line, column, key path, a part of the message)
    (WAVE + "descripton: x\n", 7, 1, "descripton", "unknown key descripton; did you mean description?"),
    (WAVE + "zzz: x\n", 7, 1, "zzz", "unknown key zzz; known here: version, name, description"),
    (WAVE + "    launch-timeout: 5m\n", 7, 5, "waves[0].launch-timeout", "did you mean launch_timeout?"),
    (WAVE + "description: on\n", 7, 14, "description", 'unquoted on is true to some readers'),
    (WAVE + "owner: 22:30\n", 7, 8, "owner", 'a number in base 60 to YAML 1.1: write "22:30"'),
    (WAVE + "owner: 010\n", 7, 8, "owner", 'a leading zero, octal to some readers: write "010"'),
    (WAVE + "owner: 0x1F\n", 7, 8, "owner", "hexadecimal"),
    (WAVE + "owner: 1_000\n", 7, 8, "owner", "not every reader takes for one"),
    (WAVE + "owner: 1e3\n", 7, 8, "owner", "not every reader takes for one"),
    (WAVE + "owner: 2026-01-01\n", 7, 8, "owner", "a date to YAML 1.1"),
    (WAVE + "owner: .inf\n", 7, 8, "owner", "not a finite number"),
    (WAVE + "owner: 5\n", 7, 8, "owner", "expected text, found the number 5: put it in quotes"),
    (WAVE + "owner: true\n", 7, 8, "owner", "expected text, found the word true: put it in quotes"),
    (WAVE + "owner: 99999999999999999999\n", 7, 8, "owner", "not every reader"),
    (WAVE + "owner:\n", 7, 1, "owner", "has no value: give it one, or remove it"),
    (WAVE + "args:\n", 7, 1, "args", "has no value"),
    (WAVE + "notify: [{notifier: a.B, args: {x: [{__var: 1}]}}]\n", 7, 45,
     "notify[0].args.x[0].__var", "Airflow reserves"),
    (WAVE + "    post_launch: [{name: a, automation: Shop-B, parameters: {__type: x}}]\n", 7, 70,
     "waves[0].post_launch[0].parameters.__type", "begins with two underscores"),
    (WAVE + "defaults: {script_parameters: {__p: x}}\n", 7, 37, "defaults.script_parameters.__p", "rename it"),
    (WAVE + "args: {x: null}\n", 7, 1, "args", "unknown key args"),
    (WAVE + "drill: {args: [~]}\n", 7, 9, "drill.args", "unknown key args"),
    (WAVE + "notify: [{notifier: a.B, args: null}]\n", 7, 26, "notify[0].args", "has no value"),
    (WAVE + "owner: ''\n", 7, 8, "owner", "expected text that is not blank"),
    (WAVE + "tags: shop\n", 7, 7, "tags", "expected a list, found \"shop\": write [shop]"),
    (WAVE + "tags: [a, b, a]\n", 7, 14, "tags[2]", "tag a is here twice"),
    (WAVE + f"tags: [a, {'b' * 101}]\n", 7, 11, "tags[1]", "should have at most 100 characters"),
    (WAVE + "tags: [a,]\nname: x\n", 8, 1, "name", "the key name is here twice; the first is in line 2"),
    (WAVE + "'': x\n'': y\n", 8, 1, "", 'the key "" is here twice; the first is in line 7'),
    (WAVE + "yes: x\n", 7, 1, "yes", "unquoted yes is true to some readers"),
    (WAVE + "drill: {schedule: '61 * * * *'}\n", 7, 19, "drill.schedule", "is not a cron expression"),
    (WAVE + "drill: {schedule: '0 0 30 2 *'}\n", 7, 19, "drill.schedule", "never occurs"),
    (WAVE + "drill: {schedule: '0 6 * *'}\n", 7, 19, "drill.schedule", "has 4 cron fields, not 5"),
    (WAVE + "drill: {schedule: '0 0 6 * * *'}\n", 7, 19, "drill.schedule", "has 6 cron fields, not 5"),
    (WAVE + "drill: {schedule: '@continuous'}\n", 7, 19, "drill.schedule", "is not a schedule preset"),
    (WAVE + "drill: {schedule: 'R 6 * * *'}\n", 7, 19, "drill.schedule", "random"),
    (WAVE + "drill: {timezone: Europe/Viena}\n", 7, 19, "drill.timezone", "did you mean Europe/Vienna?"),
    (WAVE + "drill: {not_on: [2026-12-24]}\n", 7, 18, "drill.not_on[0]", 'write "2026-12-24"'),
    (WAVE + "drill: {not_on: ['2026-02-30']}\n", 7, 18, "drill.not_on[0]", "2026-02-30 is no day of the calendar"),
    (WAVE + "drill: {not_on: [xmas]}\n", 7, 18, "drill.not_on[0]", "neither a date nor a range of dates"),
    (WAVE + "drill: {not_on: [2027-01-03/2026-12-20]}\n", 7, 18, "drill.not_on[0]", "ends before it begins"),
    (WAVE + "drill: {waves: [db, bd]}\n", 7, 21, "drill.waves[1]", "there is no wave bd; the plan has db"),
    (WAVE + "drill: {waves: [db, db]}\n", 7, 21, "drill.waves[1]", "wave db is here twice"),
    (WAVE + "drill: {wave: [db]}\n", 7, 9, "drill.wave", "did you mean waves?"),
    (BY_MODE + "{dril: {P: x}}}]\n", 7, 76, f"{OF_SCRIPT}.dril", "did you mean drill?"),
    (BY_MODE + "{drill: {P: 5}}}]\n", 7, 87, f"{OF_SCRIPT}.drill.P", "text or a list of texts"),
    (BY_MODE + "{recovery: {P: '{{connection:a}}'}}}]\n", 7, 90, f"{OF_SCRIPT}.recovery.P", "as the whole value"),
    (BY_MODE + "{drill: {__p: x}}}]\n", 7, 89, f"{OF_SCRIPT}.drill.__p", "rename it"),
    (WAVE + "drill: {timezone: ../etc}\n", 7, 19, "drill.timezone", "is not a time zone name"),
    (WAVE + "drill: {terminate: allways}\n", 7, 20, "drill.terminate", "did you mean always?"),
    (WAVE + "drill: {keep_for: 45}\n", 7, 19, "drill.keep_for", "the number 45 has no unit: write 45s"),
    (WAVE + "objectives: {rto: 0s}\n", 7, 19, "objectives.rto", "must be longer than zero"),
    (WAVE + "objectives: {rpo: [5m]}\n", 7, 14, "objectives.rpo", "is not a duration"),
    (WAVE + "notify: [{sns: topic}]\n", 7, 16, "notify[0].sns", "expected the ARN of an SNS topic"),
    (WAVE + "notify: [{}]\n", 7, 10, "notify[0]", "needs exactly one of sns and notifier"),
    (WAVE + "notify: [{notifier: nodots}]\n", 7, 21, "notify[0].notifier", "a dotted path"),
    (WAVE + "protection_groups: {DB: {tags: {a: b}}}\n", 7, 21, "protection_groups.DB", "lower-case letters"),
    (WAVE + "protection_groups: {db: {}}\n", 7, 21, "protection_groups.db", "exactly one of servers and tags"),
    (WAVE + "protection_groups: {db: {tags: {a: 1}}}\n", 7, 36, "protection_groups.db.tags.a", "put it in quotes"),
    (WAVE + "defaults: {script_timout: 5m}\n", 7, 12, "defaults.script_timout", "did you mean script_timeout?"),
    (WAVE + "    retries: '2'\n", 7, 14, "waves[0].retries", "expected a whole number, found \"2\": write it without"),
    (WAVE + "    retries: 11\n", 7, 14, "waves[0].retries", "less than or equal to 10"),
    (WAVE + "    min_launched: 101%\n", 7, 19, "waves[0].min_launched", "neither a count such as 2 nor a percentage"),
    (WAVE + "    min_launched: 2\n", 7, 19, "waves[0].min_launched", "asks for 2 servers, and wave db has 1"),
    (WAVE + "defaults: {min_launched: 2}\n", 7, 26, "defaults.min_launched", "asks for 2 servers, and wave db has 1"),
    (SCRIPT + "'{{connection:aws_default.password}}'}}]\n", 7, 71, PARAMETER, "refers to a connection in a way"),
    (SCRIPT + "'{{connection:drs_secret_a.extra}}'}}]\n", 7, 71, PARAMETER, "FIELD one of password, login, host"),
    (SCRIPT + "'-p {{connection:drs_secret_a.password}}'}}]\n", 7, 71, PARAMETER, "as the whole value"),
    (SCRIPT + "[a, '{{ connection : b }}']}}]\n", 7, 75, f"{PARAMETER}[1]", "as the whole value"),
    (DEFAULT + "'{{connection:a}}'}}\n", 7, 35, "defaults.script_parameters.P", "as the whole value"),
    (WAVE + "    depends_on: [db]\n", 7, 18, "waves[0].depends_on[0]", "wave db depends on itself"),
    (WAVE + "    depends_on: [bd]\n", 7, 18, "waves[0].depends_on[0]", "there is no wave bd; the plan has db"),
    (WAVE + "  - name: db\n    servers: [{hostname: h}]\n", 7, 11, "waves[1].name", "wave db is here twice"),
    (WAVE + "  - name: report\n    servers: [{hostname: h}]\n", 7, 11, "waves[1].name", "may not be called report"),
    (WAVE + "  - name: b\n    servers: [{group: x}]\n", 8, 23, "waves[1].servers[0].group", "no protection group x"),
    (WAVE + "  - name: b\n    servers: []\n", 8, 5, "waves[1].servers", "must not be empty"),
    (WAVE + "  - name: b\n", 7, 5, "waves[1]", "needs the key servers"),
    (WAVE + "  - servers: [{hostname: a b}]\n", 7, 26, "waves[1].servers[0].hostname", "a host name, without spaces"),
    (WAVE + "    health_checks: [{type: tpc}]\n", 7, 28, "waves[0].health_checks[0].type", "did you mean tcp?"),
    (WAVE + "    health_checks: [{port: 1}]\n", 7, 21, "waves[0].health_checks[0]", "needs the key type"),
    (WAVE + "    health_checks: [{type: tcp}]\n", 7, 21, "waves[0].health_checks[0]", "needs the key port"),
    (WAVE + "    health_checks: [{type: tcp, port: 1, pth: x}]\n", 7, 42, "waves[0].health_checks[0].pth", "key pth"),
    (WAVE + "    health_checks: [{type: http, path: /$(x)}]\n", 7, 40, "waves[0].health_checks[0].path", "URL path"),
    (WAVE + "    pre_launch: [{name: x}]\n", 7, 18, "waves[0].pre_launch[0]", "exactly one of automation"),
    (WAVE + "    pre_launch: [{name: x, run_command: Doc}]\n", 7, 18, "waves[0].pre_launch[0]", "needs targets"),
    (WAVE + "    rollback: [{name: x, run_command: Doc}]\n", 7, 16, "waves[0].rollback[0]", "needs targets"),
    (
        WAVE + "    pre_launch: [{name: x, run_command: Doc, targets: recovery_instances}]\n",
        7, 55, "waves[0].pre_launch[0].targets", "no recovery instances before the launch",
    ),
    (
        WAVE + "    post_launch: [{name: x, automation: Doc, targets: recovery_instances}]\n",
        7, 55, "waves[0].post_launch[0].targets", "targets needs run_command",
    ),
    (
        WAVE + "    post_launch: [{name: x, run_command: Doc, targets: all}]\n",
        7, 56, "waves[0].post_launch[0].targets", "expected recovery_instances, or a mapping with tags or instance_ids",
    ),
    (
        WAVE + "    post_launch: [{name: x, run_command: Doc, targets: {}}]\n",
        7, 47, "waves[0].post_launch[0].targets", "exactly one of tags and instance_ids",
    ),
    (
        WAVE + "    post_launch: [{name: x, automation: Doc}, {name: x, automation: Doc}]\n",
        7, 54, "waves[0].post_launch[1].name", "script x is here twice",
    ),
    (
        HEAD + "waves:\n  - name: b\n    servers: [{hostname: h, snapshot: pit-00000000000000001}]\n",
        6, 39, "waves[0].servers[0].snapshot", "snapshot needs id",
    ),
    (
        HEAD + "waves:\n  - name: b\n    servers: [{hostname: h, id: s-00000000000000001}]\n",
        6, 26, "waves[0].servers[0].hostname", "has id and hostname, and needs exactly one of",
    ),
    (HEAD + "waves: []\n", 4, 1, "waves", "must not be empty"),
    (HEAD, 1, 1, "", "needs the key waves"),
    (WAVE.replace("us-west-2", "west"), 3, 18, "target.region", "an AWS region such as us-west-2"),
    (WAVE.replace("shop", "Shop"), 2, 7, "name", "lower-case letters"),
    (WAVE.replace("version: 1", "version: 2"), 1, 10, "version", "expected 1, found the number 2"),
    (WAVE + "owner: !x y\n", 7, 8, "owner", "has the tag !x"),
    (WAVE + "owner: !!python/object/apply:os.system [id]\n", 7, 8, "owner", "has the tag"),
    (WAVE + "owner: *who\n", 7, 8, "owner", "there is no anchor &who"),
    (WAVE + "<<: 5\n", 7, 5, "", "<< takes a mapping"),
    (WAVE + "1: x\n", 7, 1, "1", 'the key 1 is not text: write "1"'),
    (WAVE + "? [a]\n: x\n", 7, 3, "<line 7>", "a key must be text"),
    (WAVE + "owner: [\n", 8, 1, "", "not valid YAML: while parsing a flow node"),
    (WAVE + "owner: 'x\n", 7, 8, "", "the closing quote is missing"),
    (WAVE + "owner: 'x\ntags: ['a']\n", 7, 8, "", "ends in line 8, and more follows there: is the closing"),
    (WAVE + "owner 'x'\ntags: [a]\n", 7, 1, "", "a key needs a colon and a space after it"),
    (WAVE + "owner:x\ntags: [a]\n", 7, 1, "", "a key needs a colon and a space after it"),
    (WAVE + "drill\n  schedule: '@daily'\n", 7, 1, "", "a key needs a colon and a space after it"),
    (WAVE + "owner:\u00a0x\ntags: [a]\n", 7, 7, "", "U+00A0, NO-BREAK SPACE, is no space to YAML"),
    (WAVE + "    retries: 1\n\u00a0   settle: 1m\n    launch_timeout: 1h\n", 8, 1, "", "U+00A0"),
    (WAVE + "\u200bowner: x\n", 7, 1, "\u200bowner", "unknown key \\u200bowner; did you mean owner?"),
    (WAVE + "owner: \"C:\\shop\"\n", 7, 11, "", "put the text in single quotes"),
    (WAVE + "tags: [a\nowner: x\n", 8, 6, "", "or a quote is missing, after what opens in line 7"),
    (WAVE + "drill:\n  schedule: * 6 * * *\n", 8, 14, "", "quote a text that starts with *"),
    (WAVE + "   - name: b\n", 7, 4, "", "each item of a list begins with - and a space, in one column"),
    (WAVE + "    retries: 1\n\tsettle: 1m\n", 8, 1, "", "indent with spaces, not tabs"),
    (WAVE + "<<<<<<< HEAD\nowner: x\n=======\nowner: y\n>>>>>>> b\n", 7, 1, "", "a merge conflict"),
    (" " + WAVE, 2, 1, "", "the keys of the plan begin in the first column"),
    (WAVE + "owner: “x”\n", 7, 8, "owner", 'a curly quote, which is a part of the text to YAML: write "x"'),
    (WAVE + "owner: “x” y\n", 7, 8, "owner", "put it in straight quotes"),
    (WAVE + "owner: #x\n", 7, 1, "owner", "has no value: put a text that begins with # in quotes"),
    (WAVE + "owner: # x\n", 7, 1, "owner", "has no value: give it one, or remove it"),
    (WAVE + "rto: 45m\n", 7, 1, "rto", "unknown key rto; it is a key of objectives: check the indentation"),
    (WAVE + "objectives: {rto: 1:30}\n", 7, 19, "objectives.rto", 'YAML 1.1; "1:30" is not a duration: write 30s'),
    (WAVE + "    retries: 02\n", 7, 14, "waves[0].retries", 'octal to some readers; expected a whole number'),
    (WAVE + "    retries: '02'\n", 7, 14, "waves[0].retries", 'expected a whole number, found "02": write 2'),
    (WAVE + "drill: {terminate: yes}\n", 7, 20, "drill.terminate", 'others; expected always, on_success or never'),
    (WAVE + "drill: {schedule: weekly}\n", 7, 19, "drill.schedule", "has 1 cron field, not 5: minute"),
    (WAVE + "drill: {schedule: weekly}\n", 7, 19, "drill.schedule", "did you mean @weekly?"),
    (WAVE + "drill: {timezone: UTC+2}\n", 7, 19, "drill.timezone", "an offset is not one: name a place"),
    (HEAD + "waves: [{name: db, servers: [s-00000000000000001]}]\n", 4, 30, "waves[0].servers[0]", "write {id: s-0"),
    (HEAD + "waves: [{name: db, servers: [db01]}]\n", 4, 30, "waves[0].servers[0]", "write {hostname: db01}"),
    (HEAD + "waves: [{name: db, servers: db01}]\n", 4, 29, "waves[0].servers", "write [{hostname: db01}]"),
    (HEAD + "waves: [{name: db, servers: [id s-00000000000000001]}]\n", 4, 30, "waves[0].servers[0]", "needs a colon"),
    (WAVE + "    health_checks: [tcp]\n", 7, 21, "waves[0].health_checks[0]", "write {type: tcp}"),
    (WAVE + "recovery: {approval: true}\n", 7, 22, "recovery.approval", "a mapping with message, approvers, timeout"),
    (WAVE + "protection_groups: {tags: {tags: {a: b}, tgs: 1}}\n", 7, 42, "protection_groups.tags.tgs", "mean tags?"),
    (SCRIPT + "5}}]\n", 7, 71, PARAMETER, "expected text or a list of texts, found the number 5: put it in quotes"),
    (SCRIPT + "{{ssm:x}}}}]\n", 7, 72, f"{PARAMETER}.<line 7>", "put a text that begins with { or [ in quotes"),
    (SCRIPT + "[a b: c]}}]\n", 7, 72, f"{PARAMETER}[0]", "contains a colon and a space, or begins with {, needs"),
    (WAVE + "\towner: x\n", 7, 1, "", "indent with spaces, not tabs"),
    (WAVE + "owner: a: b\n", 7, 9, "", "quote a text that contains a colon"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "column", "path", "part"), CASES, ids=[case[4][:40] for case in CASES])
def test_refusal(problems_of: Problems, text: str, line: int, column: int, path: str, part: str) -> None:
    found = [(problem.line, problem.column, problem.path, problem.message) for problem in problems_of(text)]
    assert [each for each in found if each[:3] == (line, column, path) and part in each[3]], found


def test_a_valid_plan_has_no_problem(problems_of: Problems) -> None:
    assert problems_of(WAVE) == []


def test_one_mistake_is_one_problem(problems_of: Problems) -> None:
    many = {text for text, *_ in CASES if len(problems_of(text)) > 1}
    assert many == {
        # Two mistakes: the wave has no name either.
        WAVE + "  - servers: [{hostname: a b}]\n",
    }


def test_all_problems_of_a_file_come_together_in_order(problems_of: Problems) -> None:
    text = """version: 1
name: Shop
owner: no
owner: x
target: {region: us-west-2, conn: x}
drill: {schedule: often, keep_for: 5}
waves:
  - {name: a, depends_on: [b], servers: [{group: none}]}
  - {name: b, depends_on: [a, c], servers: [{}]}
"""
    paths = [problem.path for problem in problems_of(text)]
    assert paths == [
        "name",
        "owner",
        "owner",
        "target.conn",
        "drill.schedule",
        "drill.keep_for",
        "waves[0].depends_on[0]",
        "waves[0].servers[0].group",
        "waves[1].depends_on[1]",
        "waves[1].servers[0]",
    ]


@pytest.mark.parametrize(
    ("first", "second", "part"),
    [
        ("{id: s-0000000000000000a}", "{id: s-0000000000000000a}", "server s-0000000000000000a is already in wave a"),
        ("{group: pair}", "{id: s-0000000000000000b}", "server s-0000000000000000b is already in wave a"),
        ("{group: pair}", "{group: pair}", "(group pair) is already in wave a"),
        ("{hostname: h}", "{hostname: h}", "hostname h is already in wave a"),
        ("{tags: {x: y}}", "{tags: {x: y}}", "tags x=y is already in wave a"),
        (
            "{tags: {x: y}}",
            "{tags: {x: y, z: w}}",
            "every server with tags x=y, z=w is also selected by tags x=y in wave a",
        ),
        ("{group: tagged}", "{tags: {x: y}}", "tags x=y is already in wave a"),
    ],
)
def test_a_server_stands_in_one_wave_only(problems_of: Problems, first: str, second: str, part: str) -> None:
    text = f"""{HEAD}protection_groups:
  pair: {{servers: [s-0000000000000000a, s-0000000000000000b]}}
  tagged: {{tags: {{x: y}}}}
waves:
  - {{name: a, servers: [{first}]}}
  - {{name: b, servers: [{second}]}}
"""
    found = problems_of(text)
    assert found, text
    assert all(problem.line == 9 for problem in found)
    assert part in "\n".join(problem.message for problem in found)


def test_tags_that_may_select_different_servers_are_allowed(problems_of: Problems) -> None:
    waves = "waves:\n  - {name: a, servers: [{tags: {x: y}}]}\n  - {name: b, servers: [{tags: {x: z}}]}\n"
    assert problems_of(HEAD + waves) == []


def test_narrower_tags_in_the_same_wave_are_allowed(problems_of: Problems) -> None:
    """As one of them may be critical: false."""
    servers = "[{tags: {x: y}}, {tags: {x: y, z: w}, critical: false}]"
    assert problems_of(HEAD + f"waves:\n  - {{name: a, servers: {servers}}}\n") == []


def test_every_cycle_is_printed_as_a_path(problems_of: Problems) -> None:
    waves = {"a": "b", "b": "c", "c": "a", "d": "e", "e": "d"}
    lines = [f"  - {{name: {name}, depends_on: [{on}], servers: [{{hostname: {name}}}]}}" for name, on in waves.items()]
    messages = [problem.message for problem in problems_of(HEAD + "waves:\n" + "\n".join(lines))]
    assert messages == [
        "waves depend on each other in a cycle: a → b → c → a",
        "waves depend on each other in a cycle: d → e → d",
    ]


def test_merge_keys_and_anchors_work(problems_of: Problems) -> None:
    text = f"""{HEAD}waves:
  - &first
    name: a
    retries: 2
    servers: [{{hostname: a}}]
  - <<: *first
    name: b
    servers: [{{hostname: b}}]
"""
    assert problems_of(text) == []


def test_null_is_a_value_for_a_notifier(problems_of: Problems) -> None:
    assert problems_of(WAVE + "notify: [{notifier: a.B, args: {x: null, y: [~]}}]\n") == []


def test_no_refusal_is_without_a_reason() -> None:
    """Whatever the wording passes over as said elsewhere: here a rule that the file itself does not break."""
    data = yaml.safe_load(WAVE)
    data["waves"][0]["depends_on"] = ["db"]
    with pytest.raises(ValidationError) as refused:
        RecoveryPlan.model_validate(data)
    (problem,) = explain(read_document(WAVE.encode()), refused.value, "plan.yaml")
    assert str(problem).startswith("plan.yaml:1:1: is not valid: 1 validation error for RecoveryPlan")
    assert "wave db depends on itself" in problem.message


def test_a_problem_carries_its_line(problems_of: Problems) -> None:
    (problem,) = problems_of(WAVE + "drill: {terminate: allways}\n")
    assert (problem.source, problem.length) == ("drill: {terminate: allways}", len("allways"))
    assert str(problem).endswith("plan.yaml:7:20: drill.terminate: " + problem.message)
