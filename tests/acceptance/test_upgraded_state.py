"""A state of an older version, and the program that finds it."""

from __future__ import annotations

import sqlite3

from tests.agent_runner import Agent
from tests.ldif_text import group, person
from tests.older_schema import TO_SCHEMA_11
from tests.servers.scim_service import ScimService
from tests.servers.vendor_service import VendorService

TO_SCHEMA_5 = """
alter table create_attempt drop column name;
drop table guarded_entry;
drop table pending_write;
drop table trouble;
alter table source drop column fresh_at;
drop table held_plan;
drop table spending;
drop index ix_ledger_user_deactivated;
drop index ix_ledger_user_guarded;
drop index ix_ledger_user_user_name_key;
alter table ledger_user drop column deactivated_at;
alter table ledger_user drop column guarded;
alter table ledger_group drop column guarded;
alter table ledger_group drop column left_at;
alter table rejected drop column last_at;
alter table desired_group drop column whole;
drop table former_leader;
alter table ledger_user drop column user_name_key;
alter table ledger_user drop column email_key;
alter table ledger_user drop column blocked;
alter table desired_user drop column email_key;
update alembic_version set version_num = '0005';
update fact set value = 'of the older version' where name like '%fingerprint';
"""


def rewind(agent: Agent) -> None:
    with sqlite3.connect(agent.state / "rollcall.sqlite3") as connection:
        connection.executescript(TO_SCHEMA_11 + TO_SCHEMA_5)


def test_an_upgrade_keeps_what_is_known_and_knows_its_spellings(agent: Agent) -> None:
    with VendorService("locked") as service:
        external = {"changed_address": "replace"}
        agent.configure(service, upstream={"external_users": "locked"}, external=external)
        people = person("guest", mail="Jörg@Müller.example") + person("staff")
        agent.ldif.write_text(people + group("app-a", "guest", "staff"))
        agent.sync()
        rewind(agent)
        before = len(service.requests)

        agent.ldif.write_text(people.replace("Müller", "xn--mller-kva") + group("app-a", "guest", "staff"))
        report = agent.sync()

        assert (report["exit_code"], report["counts"]["writes"]) == (0, 0)
        assert [request for request in service.requests[before:] if request.method != "GET"] == []


def test_after_an_upgrade_nothing_is_removed_before_every_source_has_been_read_completely(
    agent: Agent, scim: ScimService
) -> None:
    partners = {"name": "partners", "connector": "ldif", "file": "partners.ldif"}
    agent.configure(scim, {"name": "corp", "connector": "ldif", "file": "directory.ldif"}, partners)
    other = agent.directory / "partners.ldif"
    other.write_text(person("guest", mail="guest@p.example") + group("app-p", "guest"))
    agent.ldif.write_text(person("staff") + person("leaver") + group("app-a", "staff", "leaver"))
    agent.sync()
    rewind(agent)
    content = other.read_text()
    other.unlink()
    agent.ldif.write_text(person("staff") + person("leaver") + group("app-a", "staff"))

    held = agent.sync()

    assert held["exit_code"] == 4
    assert scim.membership()["app-a"] == {"staff@example.com", "leaver@example.com"}
    other.write_text(content)
    assert agent.sync()["exit_code"] == 0
    assert scim.membership() == {"app-a": {"staff@example.com"}, "app-p": {"guest@p.example"}}
