"""After an older state was put back: the lists of the back-up let nobody in, however the lists of today come."""

from __future__ import annotations

from datetime import timedelta

import pytest

from agent.directory import second_hand
from tests.acceptance.company import CORP, PARTNERS
from tests.acceptance.forest import ANN, APP_ALL, BEN, forest
from tests.acceptance.test_restored_sources import back_up
from tests.acceptance.test_restored_state import OPEN, mails, restore
from tests.agent_runner import Agent
from tests.ldif_text import group, group_dn, people, person, uids
from tests.servers.scim_service import ScimService
from tests.servers.scripted_ldap import Message

EVERYBODY = people(6) + person("q")
NO_TEXT = "/w=="  # a byte that begins no character
STRANGER = "cn=somebody,ou=Other,dc=elsewhere,dc=com"


def unreadable(record: str, attribute: str) -> str:
    """Let a value of that attribute be no text."""
    begin, _, rest = record.partition(f"\n{attribute}: ")
    return f"{begin}\n{attribute}:: {NO_TEXT}\n{rest.partition(chr(10))[2]}"


def never_in(agent: Agent, scim: ScimService, user_name: str, cycles: int = 4) -> None:
    for _ in range(cycles):
        agent.sync()
        assert user_name not in scim.active() | scim.membership()["app-a"]


@pytest.mark.parametrize("comes", ["with a name that nobody has", "cut short", "empty, like most"])
def test_who_has_left_a_list_since_stays_out(agent: Agent, scim: ScimService, comes: str) -> None:
    others = "".join(group(name, *uids(6)) for name in ("app-b", "app-c", "app-d"))
    agent.configure(scim, guard=OPEN)
    agent.ldif.write_text(EVERYBODY + group("app-a", *uids(4), "q") + others)
    agent.sync()
    back_up(agent)
    joined = [STRANGER] if comes == "with a name that nobody has" else []
    agent.ldif.write_text(EVERYBODY + group("app-a", *uids(4), *joined) + others)
    for _ in range(3):
        agent.sync()
    assert "q@example.com" not in scim.active()
    standing = scim.membership()
    restore(agent)
    if comes == "cut short":
        first = group("app-a", "u0").replace("member: ", "member;range=0-0: ")
        agent.ldif.write_text(EVERYBODY + first + others)
    elif comes == "empty, like most":
        agent.ldif.write_text(EVERYBODY + "".join(group(name) for name in ("app-a", "app-b", "app-c", "app-d")))

    never_in(agent, scim, "q@example.com")

    assert scim.membership() == standing


def test_who_has_left_a_nested_group_since_stays_out_though_it_is_out_of_sight(agent: Agent, scim: ScimService) -> None:
    outer = EVERYBODY + group("app-a", *uids(3), group_dn("inner"))
    agent.configure(scim, guard=OPEN)
    agent.ldif.write_text(outer + group("inner", "u4", "q"))
    agent.sync()
    back_up(agent)
    for inner in (group("inner", "u4"), ""):
        agent.ldif.write_text(outer + inner)
        agent.sync()
    assert scim.active() == mails(*uids(3), "u4")
    restore(agent)

    never_in(agent, scim, "q@example.com")

    assert scim.active() == mails(*uids(3), "u4")
    told = f"Nobody is taken out of app-a: {group_dn('inner')} of source corp is inside"
    assert any(told in notice for notice in agent.sync()["notices"])


def test_who_is_disabled_in_another_domain_since_stays_out_while_the_catalogue_is_away(
    agent: Agent, scim: ScimService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_hand, "BELIEVED_AFTER", timedelta(0))
    with forest(agent, scim, changes="usn") as play:
        assert play.cycle().exit_code == 0
        back_up(agent)
        play.set("ben", useraccountcontrol=[b"514"])
        for _ in range(3):
            play.cycle(full=True)
        assert BEN not in scim.active()
        restore(agent)
        play.catalogue.script = lambda _search, _honest: [Message(cuts=True)]

        for _ in range(3):
            play.cycle()
            assert BEN not in scim.active()


def test_who_came_since_and_cannot_be_understood_stays_as_it_stands(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim, guard=OPEN)
    agent.ldif.write_text(people(6) + group("app-a", *uids(6)))
    agent.sync()
    back_up(agent)
    agent.ldif.write_text(people(6) + person("new") + group("app-a", *uids(6), "new"))
    agent.sync()
    standing, active = scim.membership(), scim.active()
    restore(agent)
    agent.ldif.write_text(people(6) + unreadable(person("new"), "givenName") + group("app-a", *uids(6), "new"))

    for _ in range(3):
        agent.sync()

    assert (scim.membership(), scim.active()) == (standing, active)


@pytest.mark.parametrize("deleted", [False, True])
def test_who_may_be_in_a_group_that_cannot_be_understood_is_not_unlisted(
    agent: Agent, scim: ScimService, *, deleted: bool
) -> None:
    agent.configure(scim, guard=OPEN, leavers={"delete_after": "1s"} if deleted else {})
    agent.ldif.write_text(people(6) + group("app-a", *uids(6)) + group("app-g", "u0"))
    agent.sync()
    back_up(agent)
    agent.ldif.write_text(people(6) + person("new") + group("app-a", *uids(6), "new") + group("app-g", "u0"))
    agent.sync()
    restore(agent)
    moved = unreadable(group("app-g", "u0", "u5"), "cn")
    agent.ldif.write_text(people(6) + person("new") + group("app-a", *uids(5), "new") + moved)

    for _ in range(3):
        agent.sync()

    assert scim.active() == mails(*uids(6), "new")
    assert scim.membership()["app-a"] == mails(*uids(5), "new")


@pytest.mark.parametrize("moved", ["before the back-up", "since"])
def test_who_is_in_a_nested_group_that_was_moved_out_of_sight_stays(
    agent: Agent, scim: ScimService, moved: str
) -> None:
    """The server has put its new name into the list."""
    hidden = "cn=inner,ou=Hidden,dc=example,dc=com"
    inner = group("inner", "u4", "u5")
    agent.configure(scim, guard=OPEN)
    agent.ldif.write_text(people(6) + group("app-a", *uids(3), group_dn("inner")) + inner)
    agent.sync()
    back_up(agent)
    today = people(6) + person("late") + group("app-a", *uids(3), "late", hidden)
    agent.ldif.write_text(today if moved == "since" else today.replace(hidden, group_dn("inner")) + inner)
    for _ in range(2):
        agent.sync()
    standing, active = scim.membership(), scim.active()
    assert active == mails(*uids(3), "u4", "u5", "late")
    restore(agent)
    agent.ldif.write_text(today)

    for _ in range(3):
        agent.sync()

    assert (scim.membership(), scim.active()) == (standing, active)


def test_who_gets_another_name_while_the_directory_is_read_stays(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim, guard=OPEN)
    agent.ldif.write_text(people(6) + group("app-a", *uids(6)))
    agent.sync()
    back_up(agent)
    agent.ldif.write_text(people(6) + person("late") + group("app-a", *uids(6), "late"))
    agent.sync()
    restore(agent)
    new_name = "uid=another,ou=People,dc=example,dc=com"  # of u5, whose entry was read before
    agent.ldif.write_text(people(6) + person("late") + group("app-a", *uids(5), new_name, "late"))

    agent.sync()

    assert scim.active() == mails(*uids(6), "late")
    assert scim.membership()["app-a"] == mails(*uids(6), "late")


def test_who_leaves_while_the_source_of_the_group_is_away_is_deactivated_when_it_is_back(
    agent: Agent, scim: ScimService
) -> None:
    agent.configure(scim, CORP, PARTNERS, guard=OPEN)
    (agent.directory / "partners.ldif").write_text(person("x") + person("y") + group("app-p", "y"))
    agent.ldif.write_text(people(6) + group("app-a", *uids(6), "x"))
    agent.sync()
    back_up(agent)
    agent.ldif.write_text(people(6) + person("late") + group("app-a", *uids(6), "x", "late"))
    agent.sync()
    restore(agent)
    agent.ldif.unlink()
    agent.sync()
    agent.ldif.write_text(people(6) + person("late") + group("app-a", *uids(6), "late"))

    for _ in range(2):
        agent.sync()

    assert scim.active() == mails(*uids(6), "late", "y")


@pytest.mark.parametrize("trouble", ["the source is taken out", "one after the other is away"])
def test_people_of_another_domain_stay_as_they_stand(agent: Agent, scim: ScimService, trouble: str) -> None:
    with forest(agent, scim, changes="usn") as play:
        partners = agent.directory / "partners.ldif"
        partners.write_text(person("p") + group("app-p", "p"))
        agent.sources.append(dict(PARTNERS))
        agent.write()
        assert play.cycle().exit_code == 0
        back_up(agent)
        play.domain.join(APP_ALL, play.add("eve"))
        partners.write_text(person("p") + person("late") + group("app-p", "p", "late"))
        play.cycle(full=True)
        if trouble == "the source is taken out":
            agent.sources = [source for source in agent.sources if source["name"] == "partners"]
            agent.write()
            play.cycle(full=True)
        standing, active = scim.membership(), scim.active()
        assert {ANN, BEN, "eve@emea.example"} <= active
        restore(agent)
        if trouble == "one after the other is away":
            honest = play.domain.script
            play.domain.script = lambda _search, _honest: [Message(cuts=True)]
            play.cycle()
            play.domain.script = honest
            play.catalogue.script = lambda _search, _honest: [Message(cuts=True)]

        for _ in range(3):
            play.cycle()

        assert (scim.membership(), scim.active()) == (standing, active)
