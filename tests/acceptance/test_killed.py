"""SIGKILL at any moment of a push costs nothing but a repeated, idempotent call."""

from __future__ import annotations

import pytest

from tests.agent_runner import Agent
from tests.killing import kill_at
from tests.ldif_text import group, people, uids
from tests.servers.scim_service import ScimService

USERS = 24
EXPECTED = {
    "app-all": {f"{uid}@example.com" for uid in uids(USERS)},
    "app-even": {f"{uid}@example.com" for uid in uids(USERS)[::2]},
    "app-nested": {f"{uid}@example.com" for uid in uids(USERS)[::2]},
}
# A whole push of this directory takes 24 + 3 x 6 requests, so the moments cover it from the first to the last.
MOMENTS = range(1, 43)


@pytest.mark.parametrize("carried_out", [False, True], ids=["lost request", "lost answer"])
def test_a_push_killed_at_any_request_ends_equal_to_the_directory_without_a_duplicate(
    agent: Agent, carried_out: bool
) -> None:
    killed = 0
    for moment in MOMENTS[int(carried_out) :: 2]:
        with ScimService() as scim:
            agent.ldif.write_text(
                people(USERS)
                + group("app-all", *uids(USERS))
                + group("app-even", *uids(USERS)[::2])
                + group("app-nested", "cn=app-even,ou=Groups,dc=example,dc=com")
            )
            agent.configure(
                scim, agent={"state_dir": f"state-{moment}"}, upstream={"members_per_patch": 5, "workers": 3}
            )
            process = agent.start("sync")
            killed += kill_at(
                scim, process, lambda _request, at=moment: len(scim.requests) >= at, carried_out=carried_out
            )
            process.wait(timeout=60)

            report = agent.sync()

            assert report["exit_code"] == 0, (moment, report["sentences"])
            assert scim.membership() == EXPECTED, moment
            assert sorted(user["userName"] for user in scim.users.values()) == sorted(EXPECTED["app-all"]), moment
            assert agent.sync()["counts"]["requests"] == 0, moment
    assert killed >= 20  # of either kind, so more than 30 in all
