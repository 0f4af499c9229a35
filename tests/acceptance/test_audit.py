"""The audit trail: every write upstream is on record, whatever goes wrong, and can be asked for."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.test_daemon import wait_for
from tests.agent_runner import Agent
from tests.connectors.conftest import plain
from tests.ldif_text import group, group_dn, people, person, person_dn, uids
from tests.servers.openldap import History, OpenLdap
from tests.servers.scim_service import Fault, ScimService


@pytest.fixture
def ready(agent: Agent, scim: ScimService) -> Agent:
    agent.configure(scim)
    agent.ldif.write_text(people(3) + group("app-a", *uids(3)))
    return agent


def trail(agent: Agent) -> list[dict[str, Any]]:
    files = [*sorted(agent.state.glob("audit-*.jsonl")), agent.state / "audit.jsonl"]
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def pending(agent: Agent) -> int:
    with sqlite3.connect(agent.state / "rollcall.sqlite3") as state:
        return int(state.execute("select count(*) from pending_write").fetchone()[0])


def test_the_records_stand_for_exactly_the_requests_that_the_service_counted(ready: Agent, scim: ScimService) -> None:
    scim.add_user(userName="u0@example.com", active=True)  # adopted: a refused create and an update
    scim.add_group(displayName="app-a")  # adopted: a change of its externalId
    scim.faults.append(Fault(lambda r: r.method == "PATCH" and "Groups" in r.path, times=2, status=503))
    scim.faults.append(Fault(lambda r: r.method == "POST" and "u4@" in str(r.body), times=1, drop="after"))
    scim.faults.append(Fault(lambda r: r.method == "PUT", times=1, drop="before"))
    ready.configure(scim, upstream={"members_per_patch": 2, "attempts": 5})
    ready.ldif.write_text(people(7) + group("app-a", *uids(7)) + group("app-b", "u1"))
    first = ready.sync()
    ready.ldif.write_text(people(6) + group("app-a", *uids(6)) + group("app-c", "u1"))
    second = ready.sync()

    records = trail(ready)
    assert (first["exit_code"], second["exit_code"]) == (0, 0)
    assert sum(record["writes"] for record in records) == len(scim.writes())
    assert len(scim.writes()) == first["counts"]["writes"] + second["counts"]["writes"]
    added = next(r for r in records if (r["verb"], r["label"], len(r["members"])) == ("add members", "app-a", 7))
    assert added["writes"] >= 4  # two members to a request
    assert len({(record["cycle_id"], record["number"]) for record in records}) == len(records)
    assert pending(ready) == 0


def test_a_record_tells_what_why_by_what_evidence_and_with_what_outcome(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(people(2) + group("app-a", "u0", group_dn("inner")) + group("inner", "u1"))
    ready.sync()
    created, group_created, added = trail(ready)[1:]

    anna = next(user["id"] for user in scim.users.values() if user["userName"] == created["label"])
    (scim_group,) = scim.groups
    assert created["at"] > "2026-"
    assert created == created | {
        "verb": "create user", "label": created["label"], "address": created["label"],
        "dn": person_dn(created["label"].partition("@")[0]), "source": "corp", "scim_id": anna, "members": [],
        "cause": "member of app-a", "approved_by": None, "result": "done", "detail": "created", "writes": 1,
    }  # fmt: skip
    (evidence,) = created["evidence"]
    assert (evidence["source"], evidence["extent"], evidence["completeness"]) == ("corp", "full", "complete")
    assert group_created["cause"] == "selected by name:app-* ([scope] groups)"
    assert (group_created["scim_id"], added["scim_id"]) == (scim_group, scim_group)
    assert {member["user_name"]: member["cause"] for member in added["members"]} == {
        "u0@example.com": "listed in group app-a",
        "u1@example.com": f"listed in group app-a through {group_dn('inner')}",
    }
    assert {member["scim_id"] for member in added["members"]} == set(scim.users)


def test_a_record_tells_how_far_an_increment_had_come(agent: Agent, scim: ScimService, tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    server = OpenLdap(tmp_path / "server", history=History.SESSION_LOG)
    server.load(plain(people(3) + group("app-a", *uids(2))))
    with server:
        agent.configure(scim, server.settings())
        agent.sync()
        server.modify(f"dn: {group_dn('app-a')}\nchangetype: modify\nadd: member\nmember: {person_dn('u2')}\n")
        agent.sync()

    (evidence,) = trail(agent)[-1]["evidence"]
    assert (evidence["extent"], evidence["note"], evidence["server"]) == (
        "incremental", "syncrepl, OpenLDAP", server.url
    )  # fmt: skip
    assert re.match(r"dc=example,dc=com (rid=\d+,)?csn=20\d+", evidence["position"]), evidence["position"]


def test_a_removal_that_was_held_tells_who_let_it_through(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim)
    agent.ldif.write_text(people(30) + group("app-a", *uids(30)))
    agent.sync()
    agent.ldif.write_text(people(30) + group("app-a", *uids(12)))
    agent.run("approve", agent.sync()["plan_digest"])
    agent.sync()

    removals = [r for r in trail(agent) if r["verb"] in {"remove members", "deactivate user"}]
    assert len(removals) == 19
    assert all(record["approved_by"] for record in removals)
    assert {member["cause"] for member in removals[0]["members"]} == {"no longer a member of the group"}


def test_a_disk_that_is_full_stops_the_push_before_the_next_write_and_loses_no_record(
    ready: Agent, scim: ScimService
) -> None:
    ready.state.mkdir()
    (ready.state / "audit.jsonl").symlink_to("/dev/full")
    ready.configure(scim, upstream={"workers": 1})

    full = ready.run("sync")
    (ready.state / "audit.jsonl").unlink()
    mended = ready.sync()

    assert full.code == 2
    assert "audit.jsonl cannot be written: No space left on device. No more was sent upstream" in full.err
    assert mended["exit_code"] == 0
    records = trail(ready)
    assert [(r["verb"], r["result"], r["writes"]) for r in records[:2]] == [("create user", "done", 1)] * 2
    assert records[0]["cycle_id"] not in {record["cycle_id"] for record in records[1:]}
    assert sum(record["writes"] for record in records) == len(scim.writes())


def test_what_a_killed_agent_was_writing_is_on_record_with_the_next_cycle(ready: Agent, scim: ScimService) -> None:
    ready.configure(scim, upstream={"workers": 1})
    scim.faults.append(Fault(lambda r: r.method == "POST", times=1, delay=5))
    process = ready.start("sync")
    wait_for(lambda: bool(scim.writes()))
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=20)
    wait_for(lambda: pending(ready) == 1)
    report = ready.sync()

    first, *later = trail(ready)
    assert (first["verb"], first["result"], first["writes"]) == ("create user", "interrupted", None)
    assert "ended before it could record the outcome" in first["detail"]
    assert {record["cycle_id"] for record in later} == {report["cycle_id"]}
    assert pending(ready) == 0


def test_a_record_that_is_in_the_file_already_is_not_written_twice(ready: Agent) -> None:
    ready.sync()
    record = trail(ready)[0]
    with sqlite3.connect(ready.state / "rollcall.sqlite3") as state:  # killed between the one and the other
        row = (record["cycle_id"], record["number"], json.dumps(record | {"at": "", "writes": None}))
        state.execute("insert into pending_write values (?, ?, ?)", row)
    before = len(trail(ready))
    ready.sync()

    assert (len(trail(ready)), pending(ready)) == (before, 0)


def test_what_was_never_sent_has_no_record(ready: Agent) -> None:
    ready.sections["upstream"]["url"] = "http://127.0.0.1:9"
    ready.write()
    report = ready.sync()

    assert (report["exit_code"], report["counts"]["writes"]) == (5, 0)
    assert trail(ready) == []
    assert pending(ready) == 0


def test_the_trail_is_put_aside_by_size_and_read_as_one(ready: Agent, scim: ScimService) -> None:
    ready.configure(scim, audit={"max_size": "2kB", "keep": "90d"})
    ready.sync()
    old = ready.state / "audit-20200101-000000.jsonl"
    old.write_text('{"at": "2020-01-01T00:00:00+00:00", "verb": "create user", "label": "long ago"}\n')
    ready.ldif.write_text(people(5) + group("app-a", *uids(5)))
    ready.sync()

    files = sorted(ready.state.glob("audit-*.jsonl"))
    shown = ready.run("audit", "--json").document
    assert len(files) >= 2
    assert not old.exists()
    assert [record["label"] for record in shown] == [record["label"] for record in trail(ready)]
    assert sum(record["writes"] for record in shown) == len(scim.writes())
    assert all(file.stat().st_mode & 0o077 == 0 for file in files)
    assert all(len(file.read_bytes()) <= 2000 or len(file.read_text().splitlines()) == 1 for file in files)


def test_a_line_that_is_half_there_is_left_out_and_not_built_upon(ready: Agent) -> None:
    ready.sync()
    with (ready.state / "audit.jsonl").open("a") as file:
        file.write('{"at": "2026-11-')
    half = ready.run("audit", "--json")
    ready.ldif.write_text(people(4) + group("app-a", *uids(4)))
    ready.sync()
    done = ready.run("audit", "--json")

    assert (half.code, len(half.document)) == (0, 5)
    assert "line 6 of audit.jsonl is only half there and was left out" in half.err
    assert (done.code, len(done.document)) == (0, 7)
    assert "line 6 of audit.jsonl is no record and was left out" in done.err


def test_who_is_found_by_every_name_and_as_a_member(ready: Agent, scim: ScimService) -> None:
    ready.sync()
    ready.ldif.write_text(
        person("u0", mail="anna@example.com") + person("u1") + person("u2") + group("app-a", "u0", "u1", "u2")
    )
    ready.sync()
    ready.ldif.write_text(person("u0", mail="anna@example.com") + person("u1") + person("u2") + group("app-a", "u1"))
    ready.sync()
    scim_id = next(user["id"] for user in scim.users.values() if user["userName"] == "anna@example.com")

    found = [
        [(record["verb"], record["label"]) for record in ready.run("audit", "--json", "--who", who).document]
        for who in ("ANNA@Example.com", "u0@example.com", "UID=u0, ou=people,dc=example,dc=com", scim_id)
    ]
    assert found[0] == [
        ("create user", "u0@example.com"), ("add members", "app-a"), ("update user", "anna@example.com"),
        ("remove members", "app-a"), ("deactivate user", "anna@example.com"),
    ]  # fmt: skip
    assert found[1:] == [found[0]] * 3
    of_group = ready.run("audit", "--json", "--who", "APP-A").document
    assert [record["verb"] for record in of_group] == ["create group", "add members", "remove members"]
    assert ready.run("audit", "--who", "nobody").out == "No record of the audit trail is about that.\n"


def test_the_lines_tell_a_person_what_happened_and_why(ready: Agent) -> None:
    ready.sync()

    lines = ready.run("audit", "--who", "u1@example.com").out.splitlines()

    assert lines[0].endswith("  create user u1@example.com")
    assert lines[1] == "    done: created (1 write)"
    assert lines[2].startswith("    why: member of app-a [source corp, complete full read of ")
    assert lines[3].endswith("  add members app-a: u1@example.com and 2 more")
    assert lines[5].startswith("    why: listed in group app-a [")


def test_time_and_verb_narrow_it_down(ready: Agent) -> None:
    ready.sync()
    lines = (ready.state / "audit.jsonl").read_text().splitlines()
    days = [f"2026-10-0{number}T23:30:00+00:00" for number in range(1, 6)]
    moved = [json.dumps(json.loads(line) | {"at": at}) for line, at in zip(lines, days, strict=True)]
    (ready.state / "audit.jsonl").write_text("".join(line + "\n" for line in moved))

    def shown(*options: str) -> list[str]:
        return [record["at"][:10] for record in ready.run("audit", "--json", *options).document]

    assert shown("--since", "2026-10-02", "--until", "2026-10-03") == ["2026-10-02", "2026-10-03"]
    assert shown("--until", "2026-10-02T12:00") == ["2026-10-01"]
    assert shown("--since", "2026-10-05T22:30-01:00") == ["2026-10-05"]
    assert shown("--since", "24h") == []
    assert shown("--since", "90000d") == [day[:10] for day in days]
    assert shown("--verb", "Create  group") == ["2026-10-04"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--since", "yesterday"), '--since: "yesterday" is no time. Write so long ago, like 24h or 7d'),
        (("--since", "999999999d"), "is no time"),
        (("--since", "0001-01-01T00:00+14:00"), "is no time"),
        (("--until", "9999-12-31T23:59-14:00"), "is no time"),
        (("--since", "2026-11-02", "--until", "2026-11-01"), "--since is later than --until"),
        (("--since", "\x1b[2J"), "is no time"),
        (("--verb", "explode"), '--verb: there is no "explode". Write one of: create user, '),
        (("--who", " "), "--who is empty"),
    ],
)
def test_what_cannot_be_understood_is_told_in_one_sentence(ready: Agent, options: tuple[str, ...], told: str) -> None:
    done = ready.run("audit", *options)

    assert done.code == 2
    assert told in done.err
    assert len(done.err.splitlines()) == 1
    assert "\x1b" not in done.err


def test_names_from_the_directory_steer_neither_a_terminal_nor_a_spreadsheet(ready: Agent) -> None:
    name = base64.b64encode(b"app-\x1b]0;x").decode()
    app = group("app-x", "u0", "u1").replace("cn: app-x", f"cn:: {name}")
    ready.ldif.write_text(person("u0") + person("u1", mail="=cmd@example.com") + app)
    ready.sync()

    lines, table = ready.run("audit").out, ready.run("audit", "--csv").out
    rows = list(csv.DictReader(io.StringIO(table)))

    assert "why: member of app-\N{REPLACEMENT CHARACTER}]0;x [" in lines
    assert "\x1b" not in lines
    assert {row["label"] for row in rows if row["verb"] == "create user"} == {"'=cmd@example.com", "u0@example.com"}


def test_before_the_first_cycle_there_is_nothing_to_show(ready: Agent) -> None:
    assert (ready.run("audit").code, ready.run("audit", "--json").document) == (0, [])
