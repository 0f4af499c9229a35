"""`rollcall init` on the installed program, by root on a terminal: good answers end with a service that runs."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.terminal_session import TerminalSession
from tests.acceptance.test_daemon import wait_for
from tests.acceptance.test_init import from_the_groups, up_to_the_groups
from tests.installed.container import Container
from tests.installed.parts import debian, packages
from tests.ldif_text import group, people, uids
from tests.servers.openldap import READER_PASSWORD, OpenLdap
from tests.servers.scim_service import ScimService

UNIT = "rollcall.service"
AUTHORITY = "/etc/rollcall/ca.pem"


def test_good_answers_end_with_a_service_that_runs_and_starts_with_the_machine(tmp_path: Path) -> None:
    deb = packages().deb  # made with the network of the outside
    for name in ("container", "slapd"):
        (tmp_path / name).mkdir()
    with Container(debian(), tmp_path / "container") as container, container.network():
        container.write("/opt/rollcall.deb", deb.read_bytes())
        container.run("dpkg", "--install", "/opt/rollcall.deb")
        server = OpenLdap(tmp_path / "slapd")
        server.load(people(5) + group("app-a", *uids(5)))
        container.write(AUTHORITY, server.certificates.authority.read_bytes())
        with (
            server,
            ScimService() as scim,
            TerminalSession(*container.inside("rollcall", "init"), another=True) as session,
        ):
            up_to_the_groups(session, server, authority=AUTHORITY)
            from_the_groups(session, scim, "app-*")
            session.answer("Install the service and start it now?", "")
            code = session.end()

            assert (code, f"{UNIT} is active" in session.said) == (0, True), session.said
            wait_for(lambda: scim.membership() == {"app-a": {f"{uid}@example.com" for uid in uids(5)}})
            assert [container.property_of(UNIT, name) for name in ("ActiveState", "UnitFileState", "User")] == [
                "active", "enabled", "rollcall",
            ]  # fmt: skip
            secrets = container.run("stat", "--format", "%a %U %n", "/etc/rollcall/credentials/upstream.token")
            assert secrets.startswith("600 root")
            assert [secret for secret in (READER_PASSWORD, scim.token) if secret in session.said] == []
