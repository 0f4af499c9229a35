"""Who must stand upstream, worked out from what ldapsearch shows: it shares no code with the agent.

dump = Dump.of(server.starttls_url, ADMIN_DN, ADMIN_PASSWORD, "ou=Company,dc=example,dc=com")
dump.membership("app-")   # {"app-a": {"u1@example.com", ...}}
"""

from __future__ import annotations

import base64
import subprocess
from dataclasses import dataclass


@dataclass(frozen=True)
class Dump:
    """People and groups below a base, by their DN in lower case."""

    entries: dict[str, dict[str, list[str]]]

    @classmethod
    def of(cls, url: str, bind_dn: str, password: str, base: str) -> Dump:
        shown = subprocess.run(
            ["ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", "-H", url, "-D", bind_dn, "-w", password, "-b", base,
             "(|(objectClass=inetOrgPerson)(objectClass=groupOfNames))", "mail", "cn", "member", "employeeType",
             "objectClass", "sn", "givenName"],
            check=True, capture_output=True,
        ).stdout.decode()  # fmt: skip
        entries: dict[str, dict[str, list[str]]] = {}
        for block in filter(str.strip, shown.split("\n\n")):
            entry: dict[str, list[str]] = {}
            for line in block.splitlines():
                key, _, value = line.partition(":")
                text = base64.b64decode(value[1:]).decode() if value.startswith(":") else value.strip()
                entry.setdefault(key.lower(), []).append(text)
            entries[entry.pop("dn")[0].lower()] = entry
        return cls(entries)

    def names(self) -> dict[str, tuple[str, str, str]]:
        """The given, family and display name of everybody by address; empty for what is not there."""
        return {
            entry["mail"][0].lower(): (entry.get("givenname", [""])[0], entry["sn"][0], entry["cn"][0])
            for entry in self.entries.values()
            if "inetOrgPerson" in entry["objectclass"] and entry.get("mail")
        }

    def membership(self, prefix: str) -> dict[str, set[str]]:
        """The people with an address in every group whose name begins so, nested groups opened."""
        return {
            entry["cn"][0]: self._people(dn, set())
            for dn, entry in self.entries.items()
            if "groupOfNames" in entry["objectclass"] and entry["cn"][0].startswith(prefix)
        }

    def _people(self, dn: str, seen: set[str]) -> set[str]:
        seen.add(dn)
        found: set[str] = set()
        for member in self.entries[dn].get("member", ()):
            entry = self.entries.get(member.lower())
            if entry is None or member.lower() in seen:
                continue
            if "groupOfNames" in entry["objectclass"]:
                found |= self._people(member.lower(), seen)
            elif entry.get("employeetype") != ["left"]:
                found |= set(entry.get("mail", ()))
        return found
