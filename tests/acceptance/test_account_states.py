"""Which accounts of a domain are people, and when they are active."""

from __future__ import annotations

import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.acceptance.active_directory_changes import COMPANY, PEOPLE, beginning
from tests.agent_runner import Agent
from tests.servers.samba import NAMING_CONTEXT, SambaDomain
from tests.servers.scim_service import ScimService

MEMBER = "u2"
ADDRESS = "u2@corp.test"
SECONDS = 12  # until it happens: enough for a cycle on a busy machine
# A lock after one wrong password, that ends by itself; intervals are negative, in tenths of a microsecond.
LOCKOUT = (
    f"dn: {NAMING_CONTEXT}\nchangetype: modify\nreplace: lockoutThreshold\nlockoutThreshold: 1\n-\n"
    f"replace: lockoutDuration\nlockoutDuration: -{SECONDS}0000000\n-\n"
    f"replace: lockOutObservationWindow\nlockOutObservationWindow: -{SECONDS}0000000\n-\n\n"
)


def expiring(moment: datetime) -> str:
    since_1601 = (moment - datetime(1601, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 10
    return f"dn: CN={MEMBER},{PEOPLE}\nchangetype: modify\nreplace: accountExpires\naccountExpires: {since_1601}\n\n"


def test_an_account_expires_and_a_lock_ends_without_any_change(tmp_path: Path, scim: ScimService, agent: Agent) -> None:
    # The directory reports neither: both come by the passing of time.
    domain = SambaDomain(tmp_path / "dc")
    domain.load(beginning(), passwords={MEMBER: "Member-2026-Dunlin"})
    agent.configure(scim, domain.settings(base_dn=COMPANY, inactive_when=["disabled", "locked", "expired"]))
    seen = {}
    with domain:
        domain.modify(LOCKOUT)
        end = datetime.now(UTC) + timedelta(seconds=SECONDS)
        domain.modify(expiring(end))
        agent.sync()
        seen["before it expires"] = ADDRESS in scim.active()
        time.sleep((end - datetime.now(UTC)).total_seconds())
        report = agent.sync()
        seen["after it expired"] = ADDRESS in scim.active()
        domain.modify(expiring(datetime.now(UTC) + timedelta(days=1)))
        agent.sync()
        seen["with a new date"] = ADDRESS in scim.active()
        wrong = ["ldapwhoami", "-x", "-H", domain.url, "-D", f"{MEMBER}@corp.test", "-w", "wrong"]
        environment = {"LDAPTLS_CACERT": str(domain.certificates.authority)}
        assert subprocess.run(wrong, env=environment, capture_output=True, check=False).returncode == 49
        agent.sync()
        seen["locked"] = ADDRESS in scim.active()
        time.sleep(SECONDS + 1)
        agent.sync()
        seen["when the lock has ended"] = ADDRESS in scim.active()

    assert report["sources"][0]["extent"] == "incremental"
    assert seen == {
        "before it expires": True,
        "after it expired": False,
        "with a new date": True,
        "locked": False,
        "when the lock has ended": True,
    }


ENABLED = "objectClass: user\nuserAccountControl: 544\n"


def account(name: str, lines: str, *, unit: str = PEOPLE) -> str:
    return f"dn: CN={name},{unit}\nsAMAccountName: {name}\n{lines}\n"


def group(*members: str) -> str:
    listed = "".join(f"member: {member}\n" for member in members)
    return account("app-mixed", f"objectClass: group\n{listed}", unit=f"OU=Groups,{COMPANY}")


def test_machines_services_and_critical_accounts_are_no_people_unless_the_settings_say_so(
    tmp_path: Path, scim: ScimService, agent: Agent
) -> None:
    administrator = f"CN=Administrator,CN=Users,{NAMING_CONTEXT}"
    others = (
        account("machine$", "objectClass: computer\nmail: machine@corp.test\n")
        + account("service", f"{ENABLED}mail: service@corp.test\nservicePrincipalName: http/web\n")
        + account(
            "managed$",
            "objectClass: msDS-GroupManagedServiceAccount\nmail: managed@corp.test\nmsDS-ManagedPasswordInterval: 30\n",
        )
    )
    people = [f"CN={name},{PEOPLE}" for name in ("u1", "machine$", "service", "managed$")]
    domain = SambaDomain(tmp_path / "dc")
    domain.load(beginning() + others + group(*people, administrator))
    agent.configure(scim, domain.settings())
    with domain:
        domain.modify(f"dn: {administrator}\nchangetype: modify\nadd: mail\nmail: root@corp.test\n\n")
        report = agent.sync()
        usual = scim.membership()["app-mixed"]
        agent.sources[0] |= {"service_accounts": True, "critical_accounts": True}
        agent.write()
        agent.sync()

    assert report["exit_code"] == 0
    assert usual == {"u1@corp.test"}
    assert scim.membership()["app-mixed"] == {"u1@corp.test", "service@corp.test", "root@corp.test"}


def test_the_address_is_mail_or_the_logon_name_or_the_primary_of_the_proxy_addresses(
    tmp_path: Path, scim: ScimService, agent: Agent
) -> None:
    proxies = "proxyAddresses: smtp:second@partner.example\nproxyAddresses: SMTP:first@partner.example\n"
    people = (
        account("both", f"{ENABLED}mail: both@corp.test\nuserPrincipalName: other@corp.test\n{proxies}")
        + account("logon", f"{ENABLED}userPrincipalName: logon@corp.test\n{proxies}")
        + f"dn: CN=proxy,{PEOPLE}\nobjectClass: contact\n{proxies}\n"
    )
    domain = SambaDomain(tmp_path / "dc")
    domain.load(beginning() + people + group(*(f"CN={name},{PEOPLE}" for name in ("both", "logon", "proxy"))))
    agent.configure(scim, domain.settings(base_dn=COMPANY))
    with domain:
        agent.sync()

    assert scim.membership()["app-mixed"] == {"both@corp.test", "logon@corp.test", "first@partner.example"}
