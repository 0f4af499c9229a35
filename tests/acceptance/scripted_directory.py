"""A play with a directory of LDAP whose answers a test writes: all people are in one group, and none may get lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.acceptance.scripted_play import ScriptedPlay
from tests.agent_runner import NO_LIMITS, Agent
from tests.ldif_text import person_dn, uids
from tests.servers.scim_service import ScimService
from tests.servers.scripted_ldap import ScriptedLdap

PEOPLE = 30
EVERYBODY = {f"{uid}@example.com" for uid in uids(PEOPLE)}
# RFC 4511, 4.1.9, RFC 2696 and RFC 4533; numbers that nobody has given a meaning, too
CODES = [*range(1, 5), 7, 8, *range(10, 15), *range(16, 22), *range(32, 37), *range(48, 55), *range(64, 72), 80]
CODES += [118, 120, 4096, 12345]
UNKNOWN = {35, 70, 12345}


class DirectoryPlay(ScriptedPlay[ScriptedLdap]):
    """With a directory of PEOPLE, who are all in one group."""

    def lose(self, uid: str) -> None:
        """The person is gone, and the group still lists it: whoever believes in absence takes the access away."""
        del self.directory.entries[person_dn(uid)]

    def nobody_lost_anything(self) -> bool:
        return self.scim.active() == EVERYBODY and self.scim.membership() == {"app-all": EVERYBODY}


@contextmanager
def directory_play(
    agent: Agent, scim: ScimService, directory: ScriptedLdap, **settings: object
) -> Iterator[DirectoryPlay]:
    with directory:
        agent.configure(scim, directory.settings(**settings), guard=NO_LIMITS)
        with DirectoryPlay.beginning(agent, directory, scim) as play:
            assert play.nobody_lost_anything()
            yield play
