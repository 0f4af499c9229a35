"""An account that loses a right takes nobody out, and says which right it misses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.active_directory_changes import (
    COMPANY,
    GROUPS,
    PEOPLE,
    beginning,
    record_of_members,
    record_of_person,
)
from tests.acceptance.test_active_directory import READER, REPLICATE
from tests.agent_runner import NO_LIMITS, Agent
from tests.servers.samba import NAMING_CONTEXT, READER_PASSWORD, SambaDomain
from tests.servers.scim_service import ScimService

# Attributes by their schemaIDGUID (MS-ADA2, MS-ADA3)
MEMBER, USER_ACCOUNT_CONTROL = "bf9679c0-0de6-11d0-a285-00aa003049e2", "bf967a68-0de6-11d0-a285-00aa003049e2"
# The property set Membership holds member and memberOf (MS-ADTS 3.1.1.2.3.3).
MEMBERSHIP = "bc0ac240-79a9-11d0-9020-00c04fc2d4cf"
DISABLED = f"dn: CN=u1,{PEOPLE}\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: 514\n\n"
CHANGED = f"dn: CN=u1,{PEOPLE}\nchangetype: modify\nreplace: sn\nsn: Later\n\n"


@pytest.fixture(params=["dirsync", "usn"])
def domain(request: pytest.FixtureRequest, tmp_path: Path, scim: ScimService, agent: Agent) -> Iterator[SambaDomain]:
    domain = SambaDomain(tmp_path / "dc")
    domain.load(beginning() + READER, passwords={"reader": READER_PASSWORD})
    if request.param == "dirsync":  # without the right Samba is not asked by DirSync
        domain.grant(NAMING_CONTEXT, REPLICATE)
    reader = {"bind_dn": "reader@corp.test", "bind_password": READER_PASSWORD}
    agent.configure(scim, domain.settings(base_dn=COMPANY, changes=request.param, **reader), guard=NO_LIMITS)
    with domain:
        agent.sync()
        domain.modify(DISABLED)
        assert agent.sync()["exit_code"] == 0
    assert len(scim.membership()["app-a"]) == 10
    assert "u1@corp.test" not in scim.active()
    yield domain
    domain.stop()


def deny(domain: SambaDomain, dn: str, attribute: str) -> None:
    domain.grant(dn, f"(OD;;RP;{attribute};;PSID)")


def test_a_group_that_hides_its_members_keeps_them(domain: SambaDomain, scim: ScimService, agent: Agent) -> None:
    before = scim.membership()
    deny(domain, f"CN=app-a,{GROUPS}", MEMBER)
    with domain:
        domain.modify(record_of_person("new") + record_of_members("app-a", "add", "new"))
        domain.modify(record_of_members("app-b", "add", "new"))
        agent.sync()
        then = scim.membership()
        report = agent.sync("--full")
        agent.sync()

    expected = before | {"app-b": before["app-b"] | {"new@corp.test"}}
    assert (then, scim.membership()) == (expected, expected)
    (told,) = report["sources"][0]["unreadable"]
    assert "CN=app-a," in told
    assert "member cannot be read" in told


@pytest.mark.parametrize("options", [(), ("--full",)], ids=["incremental", "full"])
def test_who_is_disabled_stays_so_when_the_account_cannot_see_it_any_more(
    domain: SambaDomain, scim: ScimService, agent: Agent, options: tuple[str, ...]
) -> None:
    deny(domain, f"CN=u1,{PEOPLE}", USER_ACCOUNT_CONTROL)
    with domain:
        domain.modify(CHANGED)
        report = agent.sync(*options)

    assert "u1@corp.test" not in scim.active()
    assert any("userAccountControl cannot be read" in line for line in report["sources"][0]["unreadable"])


def test_groups_below_the_bases_that_hide_all_members_keep_them_though_others_show_theirs(
    domain: SambaDomain, scim: ScimService, agent: Agent
) -> None:
    before = (scim.membership(), scim.active())
    for name in ("app-a", "app-b", "team-x"):
        deny(domain, f"CN={name},{GROUPS}", MEMBERSHIP)
    domain.grant(COMPANY, f"(OD;CI;RP;{MEMBERSHIP};;PSID)")
    with domain:
        domain.modify(
            "".join(
                f"dn: CN={name},{GROUPS}\nchangetype: modify\nreplace: displayName\ndisplayName: x\n\n"
                for name in ("app-a", "app-b")
            )
        )
        reports = [agent.sync("--full"), agent.sync()]

    assert (scim.membership(), scim.active()) == before
    assert [report["exit_code"] for report in reports] == [4, 4]
    assert "show none any more" in reports[0]["sources"][0]["reason"]
