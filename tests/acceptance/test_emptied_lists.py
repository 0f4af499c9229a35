"""All groups of a source have lost their members: who is asked, and what it takes to let them go."""

from __future__ import annotations

from tests.agent_runner import Agent
from tests.ldif_text import group, people, person, uids
from tests.servers.scim_service import ScimService

GROUPS = ("app-a", "app-b", "app-c")
REMEDY = "check that the account may read the members of groups"


def test_when_no_group_shows_members_any_more_they_stay_until_that_is_confirmed_and_the_guard_has_agreed(
    scim: ScimService, agent: Agent
) -> None:
    agent.configure(scim)
    agent.ldif.write_text(people(40) + "".join(group(name, *uids(40)) for name in GROUPS))
    agent.sync()
    before = scim.membership()
    emptied = people(40) + "".join(map(group, GROUPS))
    agent.ldif.write_text(emptied)

    untold = agent.sync("--full")
    unconfirmed = agent.sync()
    status = agent.run("status")
    while_kept = scim.membership()
    confirmed = agent.sync("--full")
    while_guarded = scim.membership()
    agent.run("approve", confirmed["plan_digest"])
    approved = agent.sync()

    assert [report["exit_code"] for report in (untold, unconfirmed, confirmed, approved)] == [4, 4, 3, 0]
    assert REMEDY in untold["sentences"][0]
    assert "rollcall sync --full" in unconfirmed["sentences"][0]
    assert REMEDY in " ".join(status.out.split())
    assert while_kept == while_guarded == before
    assert "would be deactivated" in confirmed["sentences"][0]
    assert scim.membership() == {name: set() for name in GROUPS}
    assert scim.active() == set()


def test_what_else_the_source_shows_is_taken_over_while_its_empty_groups_are_not_believed(
    scim: ScimService, agent: Agent
) -> None:
    agent.configure(scim)
    agent.ldif.write_text(people(5) + "".join(group(name, *uids(5)) for name in GROUPS))
    agent.sync()
    agent.ldif.write_text(people(4) + person("u4", mail="changed@example.com") + "".join(map(group, GROUPS)))

    report = agent.sync()

    assert report["exit_code"] == 4
    assert report["counts"]["update user"] == 1
    members = {"changed@example.com", *(f"{uid}@example.com" for uid in uids(4))}
    assert scim.membership() == dict.fromkeys(GROUPS, members)
