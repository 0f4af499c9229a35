"""Who leaves a filter is out, and who enters it is in, at once and whatever the filter hangs on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.active_directory_changes import COMPANY, GROUPS, PEOPLE, beginning, record_of_members
from tests.agent_runner import NO_LIMITS, Agent
from tests.servers.samba import SambaDomain
from tests.servers.scim_service import ScimService

MEMBER, ADDRESS = "u2", "u2@corp.test"
PERSON = "(&(objectCategory=person)(objectClass=user)"


def replaced(attribute: str, *values: str) -> str:
    lines = "".join(f"{attribute}: {value}\n" for value in values)
    return f"dn: CN={MEMBER},{PEOPLE}\nchangetype: modify\nreplace: {attribute}\n{lines}\n"


# Each: the filter of people (None: the connector's own), a change by which somebody leaves it, and one back.
CASES = {
    "a service principal name": (None, replaced("servicePrincipalName", "host/u2"), replaced("servicePrincipalName")),
    "an attribute of the filter": (
        f"{PERSON}(!(employeeType=leaver)))",
        replaced("employeeType", "leaver"),
        replaced("employeeType"),
    ),
    "a back link": (
        f"{PERSON}(memberOf=CN=team-x,{GROUPS}))",
        record_of_members("team-x", "delete", MEMBER),
        record_of_members("team-x", "add", MEMBER),
    ),
    "a chain of groups": (
        f"{PERSON}(memberOf:1.2.840.113556.1.4.1941:=CN=team-x,{GROUPS}))",
        record_of_members("team-x", "delete", MEMBER),
        record_of_members("team-x", "add", MEMBER),
    ),
    "a bit of a number": (
        f"{PERSON}(!(userAccountControl:1.2.840.113556.1.4.803:=2)))",
        replaced("userAccountControl", "514"),
        replaced("userAccountControl", "512"),
    ),
}


@pytest.mark.parametrize("changes", ["dirsync", "usn"])
def test_who_leaves_or_enters_a_filter_is_noticed_by_the_next_cycle(
    tmp_path: Path, scim: ScimService, agent: Agent, changes: str
) -> None:
    domain = SambaDomain(tmp_path / "dc")
    domain.load(beginning())
    settings = domain.settings(base_dn=COMPANY, changes=changes)
    seen = {}
    with domain:
        domain.modify(record_of_members("team-x", "add", MEMBER) + replaced("userAccountControl", "512"))
        for name, (user_filter, leave, enter) in CASES.items():
            filters = {} if user_filter is None else {"user_filter": user_filter}
            agent.configure(scim, settings | filters, guard=NO_LIMITS)
            steps = []
            for records in ("", leave, enter):
                if records:
                    domain.modify(records)
                report = agent.sync()
                steps.append((report["sources"][0]["extent"], ADDRESS in scim.membership()["app-a"]))
            seen[name] = steps

    # Of some filters nothing is told: everybody is listed, and somebody new on the list has to be read.
    listed = {"a back link", "a chain of groups"}
    assert seen == {
        name: [("full", True), ("incremental", False), ("full" if name in listed else "incremental", True)]
        for name in CASES
    }
