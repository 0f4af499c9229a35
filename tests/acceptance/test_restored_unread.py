"""After an older state was put back: what it knows of sources that are not read any more lets nobody in, nor out."""

from __future__ import annotations

import pytest

from tests.acceptance.company import CORP, PARTNERS
from tests.acceptance.test_restored_sources import back_up, renamed
from tests.acceptance.test_restored_state import OPEN, mails, restore
from tests.agent_runner import Agent
from tests.ldif_text import group, group_dn, people, person, uids
from tests.servers.scim_service import ScimService

OF_CORP = people(5) + group("app-a", *uids(5))
LEAVER = "u5@example.com"


@pytest.mark.parametrize("deleted", [False, True])
@pytest.mark.parametrize("since", ["another name", "taken out"])
def test_who_has_left_since_is_not_let_in_again(agent: Agent, scim: ScimService, since: str, *, deleted: bool) -> None:
    leavers = {"delete_after": "1s", "delete_groups_after": "1s"} if deleted else {}
    partners = agent.directory / "partners.ldif"
    both = [CORP, PARTNERS] if since == "taken out" else [CORP]
    gone = person("u5") + group("app-c", "u5")
    agent.configure(scim, *both, guard=OPEN, leavers=leavers)
    agent.ldif.write_text(OF_CORP + (gone if since == "another name" else ""))
    partners.write_text(person("p") + group("app-d", "p") + (gone if since == "taken out" else ""))
    agent.sync()
    back_up(agent)
    assert LEAVER in scim.active()
    agent.ldif.write_text(OF_CORP)
    partners.write_text(person("p") + group("app-d", "p"))
    agent.sync()
    agent.configure(scim, CORP if since == "taken out" else renamed("head office"), guard=OPEN, leavers=leavers)
    agent.sync()
    standing, active = scim.membership(), scim.active()
    restore(agent)

    reports = [agent.sync() for _ in range(3)]
    agent.sync("--full")

    assert LEAVER not in scim.active()
    assert scim.active() == active
    assert scim.membership() == standing
    assert any("which is not read any more" in notice for notice in reports[-1]["notices"])


def test_who_has_joined_since_is_not_taken_out(agent: Agent, scim: ScimService) -> None:
    """One has an account in the back-up, and one had one that was deactivated by then."""
    partners = agent.directory / "partners.ldif"
    everybody = person("p") + person("q") + person("s")
    agent.configure(scim, CORP, PARTNERS, guard=OPEN)
    agent.ldif.write_text(OF_CORP)
    for members in (["q", "s"], ["q"]):
        partners.write_text(everybody + group("app-c", *members) + group("app-d", "p"))
        agent.sync()
    back_up(agent)
    partners.write_text(everybody + group("app-c", "q") + group("app-d", "p", "q", "s"))
    agent.sync()
    agent.configure(scim, CORP, guard=OPEN)
    agent.sync()
    standing, active = scim.membership(), scim.active()
    assert standing["app-d"] == mails("p", "q", "s")
    restore(agent)

    for _ in range(3):
        agent.sync()

    assert (scim.membership(), scim.active()) == (standing, active)


def test_a_source_of_which_a_nested_group_is_left_behind_is_not_taken_for_the_one_that_reads_the_rest(
    agent: Agent, scim: ScimService
) -> None:
    nested = group("app-a", *uids(3), group_dn("inner"))
    agent.configure(scim, CORP, guard=OPEN)
    agent.ldif.write_text(people(6) + nested + group("inner", *uids(6)[3:]))
    agent.sync()
    back_up(agent)
    agent.ldif.write_text(people(6) + person("new") + nested + group("inner", *uids(6)[3:], "new"))
    agent.sync()
    agent.configure(scim, renamed("half"), guard=OPEN)
    agent.ldif.write_text(people(3) + nested)
    agent.sync()
    standing, active = scim.membership(), scim.active()
    assert active == mails(*uids(6), "new")
    restore(agent)

    for _ in range(3):
        agent.sync()

    assert (scim.membership(), scim.active()) == (standing, active)
