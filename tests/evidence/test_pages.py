"""What the report looks like: valid, self-contained, safe, and true to its JSON."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drs_provider.durations import duration_text
from drs_provider.evidence.collect import RunFacts, collect_record
from drs_provider.evidence.comparison import last_before
from drs_provider.evidence.events import EVIDENCE_KEY
from drs_provider.evidence.gantt import gantt
from drs_provider.evidence.html import render_html
from drs_provider.evidence.markdown import render_markdown
from drs_provider.evidence.record import RunRecord, schema_text
from drs_provider.evidence.storage import write_report
from drs_provider.evidence.verdict import cards, verdict
from drs_provider.timestamps import clock_text, moment_text

VOID = {"meta", "br", "link", "img", "input", "hr", "col"}
HOSTILE = "</title><script>alert(1)</script>\"'><img src=x onerror=alert(1)>&{{ 7*7 }}"


class Page(HTMLParser):
    """Parses strictly: every element is closed in order; collects elements, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def close(self) -> None:
        super().close()
        assert self.open == []

    def words(self) -> str:
        return " ".join("".join(self.text).replace("\u00a0", " ").split())


def hostile(drill: Any) -> Any:
    """Put a hostile text wherever a person, a server or a script can put one."""
    xcoms = drill.xcoms
    for server in xcoms["database.wait_for_launch"][EVIDENCE_KEY]["servers"].values():
        server.update(hostname=HOSTILE, reason=HOSTILE)
    script = xcoms["database.post_launch.start-postgres"][EVIDENCE_KEY]
    script.update(reason=HOSTILE, execution_id=HOSTILE, instances={HOSTILE: {"output_tail": HOSTILE}})
    xcoms["app.approve"][EVIDENCE_KEY].update(approver=HOSTILE, comment=HOSTILE)
    xcoms["preflight"][EVIDENCE_KEY]["findings"][0].update(message=HOSTILE, code=HOSTILE, server=HOSTILE)
    xcoms["terminate"][EVIDENCE_KEY].update(left=[{"instance_id": HOSTILE, "reason": HOSTILE}])
    xcoms.setdefault("confirm", {})["notified_started"] = [
        {"event": HOSTILE, "to": HOSTILE, "status": "failed", "reason": HOSTILE}
    ]
    drill.facts.update(run_id=HOSTILE, triggered_by=HOSTILE, parameters={HOSTILE: [HOSTILE], "mode": "drill"})
    drill.drs.error = ConnectionError(HOSTILE)
    return drill.record()


class TestHtml:
    def test_is_well_formed_and_says_the_verdict(self, drill: Any) -> None:
        page = Page(render_html(drill.record()))
        words = page.words()
        assert "Recovered in 23 m 20 s" in words
        assert "Objective 45 m, met with 21 m 40 s to spare." in words
        for heading in ("Timeline", "Where the time went", "Waves", "Approvals and overrides", "Preflight", "Clean-up"):
            assert heading in words
        assert page.tags.count("h1") == 1
        assert drill.loaded.hash in words

    def test_needs_nothing_from_anywhere(self, drill: Any) -> None:
        text = render_html(drill.record())
        page = Page(text)
        assert not re.search(r"https?:|//[a-z]|@import|url\(", text)
        assert not {"script", "link", "img", "iframe", "object", "embed"} & set(page.tags)
        assert not [found for found in page.attributes if found[1] in ("src", "href", "srcset", "action")]

    def test_hostile_texts_stay_texts(self, drill: Any) -> None:
        text = render_html(hostile(drill))
        page = Page(text)
        assert not {"script", "img"} & set(page.tags)
        assert not [found for found in page.attributes if found[1].startswith("on")]
        assert "<script>alert(1)</script>" in page.words()
        assert "{{ 7*7 }}" in page.words()

    def test_every_picture_has_words(self, drill: Any) -> None:
        page = Page(render_html(drill.record()))
        named = [tag for tag, name, _ in page.attributes if tag == "svg" and name in ("aria-label", "aria-hidden")]
        assert len(named) == page.tags.count("svg")

    def test_a_failed_run_says_why(self, drill: Any) -> None:
        drill.fails("web.post_launch.switch-dns", reason="zone not found")
        words = Page(render_html(drill.record())).words()
        assert "Not recovered" in words
        assert "The wave web failed: script switch-dns: zone not found." in words

    def test_the_headline_of_a_failed_run_has_host_name_and_cause(self, drill: Any) -> None:
        drill.fails("web.wait_for_launch", reason="0 of 1 servers launched; required and not launched: s-1a2b3")
        servers = drill.xcoms["web.wait_for_launch"][EVIDENCE_KEY]["servers"]
        servers["s-1a2b3c4d5e6f70031"].update(
            launch_status="FAILED", ec2_instance_id=None, recovery_instance_id=None, reason="no subnet\nmore of it"
        )
        drill.drs.items["drsjob-3a0000000000000d1"]["participatingServers"][0]["launchStatus"] = "FAILED"
        drill.drs.logs["drsjob-3a0000000000000d1"] = []
        record = drill.record()
        found = verdict(record)
        assert (found.title, found.detail) == (
            "Not recovered: web01 did not launch",
            "The wave web failed: web01: no subnet.",
        )
        assert render_markdown(record).startswith("# three-tier-web: not recovered: web01 did not launch\n")

    def test_where_it_ran_and_as_whom(self, drill: Any) -> None:
        address = "https://airflow.example/dags/three-tier-web/runs/1"
        drill.facts["url"] = address
        caller = "arn:aws:sts::210987654321:assumed-role/drs-plan/worker"
        drill.xcoms["preflight"][EVIDENCE_KEY]["targets"] = [
            {"name": "default", "region": "us-west-2", "account": "210987654321", "caller": caller}
        ]
        page = Page(render_html(drill.record()))
        words = " ".join(" ".join(page.text).split())
        assert "AWS account 210987654321" in words
        assert "210987654321, us-west-2 arn:aws:sts::210987654321:assumed-role/drs-plan/worker" in words
        assert "i-0aa0000000000001a m5.large, us-west-2a 10.0.3.7 subnet-0a1" in words
        links = {value for tag, name, value in page.attributes if name == "href"}
        assert links == {address}
        drill.facts["url"] = "javascript:alert(1)"
        assert "alert" not in render_html(drill.record())
        # A drill leaves what it saw before it terminated its instances; EC2 has forgotten most of it since.
        seen = {"state": "running", "instance_type": "r6i.xlarge", "subnet_id": "subnet-0d", "private_ip": "10.9.9.9"}
        drill.xcoms["confirm"] = {"instances": {"i-0aa0000000000001a": seen}}
        first = drill.record().waves[0].servers[0]
        assert (first.instance_type, first.subnet_id, first.private_ip) == ("r6i.xlarge", "subnet-0d", "10.9.9.9")

    def test_every_cell_of_a_list_has_the_heading_of_its_column(self, drill: Any) -> None:
        text = render_html(hostile(drill))
        Page(text)
        lists = re.findall(r"<thead>.*?</tbody>", text, re.DOTALL)
        assert len(lists) > 5
        assert not re.findall(r"<td(?! data-label)[^>]*>", "".join(lists))
        assert '<td data-label="Data age" class="num">' in text

    def test_the_figures_stand_beside_those_of_the_last_drill(self, drill: Any, tmp_path: Any) -> None:
        for number, day in (("1", "07"), ("2", "14")):
            drill.facts.update(
                run_id=f"scheduled__2026-11-{day}T11:00:00+00:00", started=f"2026-11-21T10:5{number}:00Z"
            )
            write_report(drill.record(), str(tmp_path))
        drill.facts.update(run_id="rehearsal", endpoint="http://127.0.0.1:4566", simulated_speed=60.0)
        write_report(drill.record(), str(tmp_path))
        drill.facts.update(run_id="now", endpoint=None, simulated_speed=None, started="2026-11-21T11:00:00Z")
        record = drill.record()
        before = last_before(record, str(tmp_path))
        assert before is not None
        assert (before.run_id, before.rto_seconds) == ("scheduled__2026-11-14T11:00:00+00:00", 1880)
        told = Page(render_html(record.model_copy(update={"previous": before}))).text
        page = " ".join(" ".join(told).replace("\u00a0", " ").split())
        assert "Compared with the last drill that recovered" in page
        assert "RTO achieved 23 m 20 s 31 m 20 s −8 m" in page
        assert "Wave app 7 m 56 s 7 m 56 s same" in page
        assert "Servers launched 6 6 same" in page

    def test_what_could_not_be_read_is_told(self, drill: Any) -> None:
        drill.drs.error = ConnectionError("no route to host")
        words = Page(render_html(drill.record())).words()
        assert "What this report could not read" in words
        assert "no route to host" in words


class TestJson:
    def test_the_checked_in_schema_is_current(self) -> None:
        stored = files("drs_provider.evidence").joinpath("report.schema.json").read_text(encoding="utf-8")
        assert stored == schema_text(), "write schema_text() to report.schema.json"

    def test_reports_follow_the_schema(self, drill: Any) -> None:
        schema = json.loads(schema_text())
        jsonschema.Draft202012Validator.check_schema(schema)
        validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
        report = json.loads(drill.record().to_json())
        validator.validate(report)
        validator.validate(json.loads(hostile(drill).to_json()))
        report["waves"][0]["state"] = "fine"
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(report)


class TestMarkdown:
    def test_says_what_counts(self, drill: Any) -> None:
        text = render_markdown(drill.record())
        assert text.startswith("# three-tier-web: recovered in 23 m 20 s\n")
        assert "| app | database | success | 2 of 2 | 7 m 56 s | 16 m 40 s | 4 s |" in text
        assert "start → 16 s → **database** 8 m 24 s → 4 s → **app** 7 m 56 s → 3 s → **web** 6 m 37 s" in text
        assert "app: approved by alice" in text

    @pytest.mark.parametrize(
        ("trigger", "by", "said"),
        [
            ("scheduled", None, "the schedule"),
            ("operator_triggered", None, "–"),
            ("manual", "alice", "alice"),
        ],
    )
    def test_both_pages_say_the_same_of_who_started_it(
        self, drill: Any, trigger: str, by: str | None, said: str
    ) -> None:
        drill.facts.update(run_type=trigger, triggered_by=by)
        record = drill.record()
        assert f", started by {said}\n" in render_markdown(record)
        assert f"<dd>{said} ({trigger})</dd>" in render_html(record)

    @pytest.mark.parametrize(
        ("endpoint", "simulated"),
        [
            ("http://127.0.0.1:4566", True),
            ("http://simulator:4566", True),
            ("http://drs.simulator.svc.cluster.local:4566", True),
            ("https://drs.eusc-de-east-1.amazonaws.eu", False),
            ("https://drs-proxy.example.net", False),
            ("https://drs.eu-west-1.amazonaws.com", False),
            ("https://vpce-0a1b2c3d.drs.eu-west-1.vpce.amazonaws.com", False),
            ("https://drs.eu-west-1.api.aws", False),
            (None, False),
        ],
    )
    def test_both_pages_say_when_aws_was_simulated(self, drill: Any, endpoint: str | None, simulated: bool) -> None:
        drill.facts.update(endpoint=endpoint)
        record = drill.record()
        assert record.run.simulated_by == (endpoint if simulated else None)
        for page in (render_markdown(record), render_html(record)):
            assert ("AWS was simulated" in page) is simulated

    def test_a_simulated_run_is_never_judged_wherever_its_record_goes(self, drill: Any) -> None:
        drill.facts.update(endpoint="http://drs-sim.example.net:80", simulated_speed=60.0)
        record = drill.record()
        assert verdict(record).badge == "Not judged (simulated, 60×)"
        assert record.rto.achieved_seconds == 1400
        for page in (render_markdown(record), render_html(record)):
            assert "RTO met" not in page
            assert "met with" not in page
            assert "simulated, 60×" in page
        assert 'class="watermark"' in render_html(record)
        # As a version without the rule wrote it, or somebody's hand.
        told = json.loads(record.to_json())
        told["rto"].update(met=True, remark=None)
        told["rpo"].update(met=True, remark=None)
        again = RunRecord.model_validate(told)
        assert (again.rto.met, again.rpo.met) == (None, None)
        assert again.rto.remark == "not judged (simulated, 60×)"
        del told["run"]["simulated_speed"]
        assert verdict(RunRecord.model_validate(told)).badge == "Not judged (simulated)"

    def test_a_report_made_again_elsewhere_stays_one_of_a_simulation(self, drill: Any) -> None:
        drill.facts.update(endpoint="http://127.0.0.1:4566", simulated_speed=60.0)
        first = drill.record()
        drill.facts.update(endpoint="https://drs.us-west-2.amazonaws.com", simulated_speed=None)
        facts = RunFacts(**drill.facts, tasks=drill.tasks, xcoms=drill.xcoms)
        again = collect_record(drill.loaded, facts, drill.drs, earlier=first)
        assert again.run.simulation == "simulated, 60×"

    def test_hostile_texts_break_no_table_and_bring_no_markup(self, drill: Any) -> None:
        text = render_markdown(hostile(drill))
        outside_code = re.sub(r"`[^`]*`", "", text)
        assert not re.search(r"(?<!\\)<", outside_code)
        rows = [line for line in text.splitlines() if line.startswith("|")]
        assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {4, 8}


class TestGantt:
    def test_bars_stand_where_the_time_says(self, drill: Any) -> None:
        chart = gantt(drill.record())
        assert chart is not None
        rows = {row.name: row for row in chart.rows}
        full = 1400 * 1.01
        assert rows["app"].x == pytest.approx(524 / full * 100, abs=0.01)
        assert rows["app"].width == pytest.approx(476 / full * 100, abs=0.01)
        approval = rows["app"].bars[0]
        assert (approval.kind, approval.width) == ("approval", pytest.approx(80 / full * 100, abs=0.01))
        assert [name for name, row in rows.items() if not row.critical] == ["cache"]
        assert [row.name for row in chart.rows] == ["Preflight", "database", "cache", "app", "web"]

    def test_the_critical_dependencies_are_marked(self, drill: Any) -> None:
        chart = gantt(drill.record())
        assert chart is not None
        assert [link.critical for link in chart.links] == [False, True, True]

    def test_an_objective_near_the_end_is_drawn(self, drill: Any) -> None:
        plan = drill.loaded.plan
        objectives = plan.objectives.model_copy(update={"rto": timedelta(seconds=1000)})
        object.__setattr__(drill.loaded, "plan", plan.model_copy(update={"objectives": objectives}))
        chart = gantt(drill.record())
        assert chart is not None
        assert "objective 16 m 40 s" in [mark.text for mark in chart.marks]

    def test_nothing_to_draw(self, drill: Any) -> None:
        drill.tasks.clear()
        drill.xcoms.clear()
        drill.drs.items.clear()
        assert gantt(drill.record()) is None


class TestVerdict:
    def test_met(self, drill: Any) -> None:
        found = verdict(drill.record())
        assert (found.badge, found.tone) == ("RTO met", "good")
        assert {card.label: card.value for card in cards(drill.record())} == {
            "RTO achieved": "23 m 20 s",
            "RPO achieved": "41 s",
            "Waves": "4 of 4",
            "Servers": "6 of 7",
            "Clean-up": "6 of 6",
        }

    def test_recovered_in_time_but_left_instances(self, drill: Any) -> None:
        drill.xcoms["terminate"][EVIDENCE_KEY]["terminated"].pop()
        found = verdict(drill.record())
        assert found.tone == "bad"
        assert found.title == "Recovered in 23 m 20 s"
        assert "1 drill instance was left behind" in found.detail

    def test_kept_instances_are_no_fault(self, drill: Any) -> None:
        drill.tasks["terminate"]["state"] = "skipped"
        drill.xcoms["terminate"][EVIDENCE_KEY].update(status="kept", terminated=[])
        record = drill.record()
        assert (record.run.state, record.termination.state, len(record.termination.left)) == ("success", "kept", 6)
        assert cards(record)[-1].note == "kept running on request"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0, "0 s"),
        (0.4, "<1 s"),
        (59.5, "1 m"),
        (692, "11 m 32 s"),
        (2700, "45 m"),
        (3720, "1 h 2 m"),
        (90061, "1 d 1 h 1 m"),
        (-90, "−1 m 30 s"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration_text(seconds) == text


@given(st.integers(0, 86399))
def test_a_duration_says_exactly_its_seconds(seconds: int) -> None:
    units = {"h": 3600, "m": 60, "s": 1}
    parts = re.findall(r"(\d+) ([hms])", duration_text(seconds))
    assert sum(int(count) * units[unit] for count, unit in parts) == seconds


def test_moments(drill: Any) -> None:
    moment = drill.record().recovered
    assert moment_text(moment) == "2026-11-21 11:23:20 UTC"
    assert clock_text(moment) == "11:23:20"
    assert moment_text(None) == "–"
