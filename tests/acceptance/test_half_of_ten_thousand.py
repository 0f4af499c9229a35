"""Ten thousand people, and a filter that was edited so that half of them would go."""

from __future__ import annotations

import pytest

from tests.agent_runner import Agent
from tests.ldif_text import SUFFIX, group, person
from tests.servers.openldap import OpenLdap
from tests.servers.scim_service import ScimService

JOINERS = 25


def some(uid: str, kind: str) -> str:
    return person(uid, extra=f"employeeType: {kind}\n")


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.slow_proof)])
def test_only_the_removals_are_held_and_one_digest_alone_lets_them_through(
    openldap: OpenLdap, scim: ScimService, agent: Agent, count: int
) -> None:
    uids = [f"u{number}" for number in range(count)]
    everybody = "".join(some(uid, "staff" if number % 2 else "temporary") for number, uid in enumerate(uids))
    openldap.load(everybody + group("app-all", *uids) + group("app-few", *uids[:30]))
    openldap.start()
    agent.configure(scim, openldap.settings(user_filter="(employeeType=*)"), upstream={"workers": 16})
    assert agent.sync()["exit_code"] == 0
    assert len(scim.active()) == count

    joiners = [f"j{number}" for number in range(JOINERS)]
    for uid in joiners:
        entry = some(uid, "staff").replace(
            "objectClass: inetOrgPerson\n", "changetype: add\nobjectClass: inetOrgPerson\n"
        )
        lines = [line for line in entry.splitlines() if not line.startswith("entryUUID:")]
        openldap.modify("\n".join(lines) + "\n")
    members = "".join(f"member: uid={uid},ou=People,{SUFFIX}\n" for uid in joiners)
    openldap.modify(f"dn: cn=app-all,ou=Groups,{SUFFIX}\nchangetype: modify\nadd: member\n{members}")
    agent.configure(scim, openldap.settings(user_filter="(employeeType=staff)"), upstream={"workers": 16})
    before = len(scim.writes())

    plan = agent.run("plan")
    held = agent.sync()

    staff = {f"{uid}@example.com" for number, uid in enumerate(uids) if number % 2}
    new = {f"{uid}@example.com" for uid in joiners}
    temporary = {f"{uid}@example.com" for uid in uids} - staff
    assert held["exit_code"] == plan.code == 3
    assert f": {count // 2} users deactivated or deleted" in plan.out.splitlines()[0]
    assert scim.active() == staff | temporary | new
    assert scim.membership()["app-all"] == staff | temporary | new
    assert held["counts"]["create user"] == JOINERS
    assert [method for method, path in scim.writes()[before:] if method == "PATCH" and "/Users/" in path] == []

    old = held["plan_digest"]
    openldap.modify(
        f"dn: uid=u1,ou=People,{SUFFIX}\nchangetype: modify\nreplace: employeeType\nemployeeType: temporary\n"
    )
    again = agent.sync()
    assert again["plan_digest"] != old
    refused = agent.run("approve", old)
    assert refused.code == 2
    assert "has changed since it was held" in refused.err
    assert agent.sync()["exit_code"] == 3

    assert agent.run("approve", again["plan_digest"]).code == 0
    assert agent.sync()["exit_code"] == 0
    assert scim.active() == (staff | new) - {"u1@example.com"}
    assert scim.membership()["app-all"] == (staff | new) - {"u1@example.com"}
