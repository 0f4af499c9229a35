"""A unit that the account may not read any more, in a domain where nothing changed: nobody in it is taken for gone.

Samba shows of an entry that is denied its name, and nothing else.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.active_directory_changes import GROUPS, PARTNERS, PEOPLE, beginning
from tests.agent_runner import NO_LIMITS, Agent
from tests.servers.samba import NAMING_CONTEXT, READER_PASSWORD, SambaDomain
from tests.servers.scim_service import ScimService

ACCOUNTS = "".join(
    f"dn: CN={name},CN=Users,{NAMING_CONTEXT}\nobjectClass: user\nsAMAccountName: {name}\n\n"
    for name in ("reader", "lesser")
)
NOT_TO_BE_READ = "(D;CI;RPLCLO;;;PSID)"
PARTNER = "stays@corp.test"
JOINED = f"dn: CN=app-a,{GROUPS}\nchangetype: modify\nadd: member\nmember: CN=stays,{PARTNERS}\n\n"
# Of a back link nobody tells, so everybody is listed in every cycle.
BACK_LINK = f"(&(objectCategory=person)(objectClass=user)(memberOf=CN=app-a,{GROUPS}))"


@pytest.fixture
def domain(tmp_path: Path) -> SambaDomain:
    domain = SambaDomain(tmp_path / "dc")
    domain.load(beginning() + ACCOUNTS, passwords={"reader": READER_PASSWORD, "lesser": READER_PASSWORD})
    domain.load(JOINED)
    domain.grant(PARTNERS, NOT_TO_BE_READ, to="lesser")
    return domain


def read_as(agent: Agent, scim: ScimService, domain: SambaDomain, account: str, **settings: str) -> None:
    bases = {"user_base_dn": [PEOPLE, PARTNERS], "group_base_dn": GROUPS}
    logon = {"bind_dn": f"{account}@corp.test", "bind_password": READER_PASSWORD}
    agent.configure(scim, domain.settings(**bases, **logon, **settings), guard=NO_LIMITS)


def a_full_reconciliation_is_due(agent: Agent) -> None:
    with closing(sqlite3.connect(agent.state / "rollcall.sqlite3")) as database, database:
        database.execute(
            "UPDATE fact SET value = '2026-01-01T00:00:00+00:00' WHERE name = 'full reconciliation begun at'"
        )


@pytest.mark.parametrize("settings", [{}, {"user_filter": BACK_LINK}], ids=["a full read", "a list of everybody"])
def test_another_account_that_sees_less_is_noticed_though_nothing_changed(
    agent: Agent, scim: ScimService, domain: SambaDomain, settings: dict[str, str]
) -> None:
    with domain:
        read_as(agent, scim, domain, "lesser", **settings)
        agent.run("check")  # a first logon is a change
        read_as(agent, scim, domain, "reader", **settings)
        agent.sync()
        agent.sync()
        read_as(agent, scim, domain, "lesser", **settings)
        if not settings:
            a_full_reconciliation_is_due(agent)
        reports = [agent.sync(), agent.sync()]

    assert PARTNER in scim.active()
    assert PARTNER in scim.membership()["app-a"]
    assert reports[0]["exit_code"] == 4


def test_a_full_read_by_hand_takes_nobody_for_gone_in_a_unit_that_shows_nothing_but_its_name(
    agent: Agent, scim: ScimService, domain: SambaDomain
) -> None:
    with domain:
        read_as(agent, scim, domain, "reader")
        agent.sync()
        read_as(agent, scim, domain, "lesser")
        report = agent.sync("--full")
        told = " ".join(agent.run("check").out.split())

    assert PARTNER in scim.active()
    assert report["exit_code"] == 4
    assert f"{PARTNERS} shows the account at {domain.url} nothing that tells it" in report["sources"][0]["reason"]
    assert f"NOT OK source corp: {PARTNERS} shows the account nothing that tells it from others" in told
    assert f"{PARTNERS} can be read" not in told
