"""The demo's directory: a copy of company.ldif, and the changes that are made to it."""

from __future__ import annotations

import uuid
from importlib.resources import files
from pathlib import Path

SUFFIX = "dc=brightwater,dc=example"


class DemoDirectory:
    """An LDIF file whose records can be changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_text((files("agent.demo") / "company.ldif").read_text(encoding="utf-8"), encoding="utf-8")

    def join(self, uid: str, name: str, mail: str, groups: list[str]) -> None:
        """Somebody new, in these groups."""
        given, _, family = name.partition(" ")
        dn = f"uid={uid},ou=People,{SUFFIX}"
        record = (
            f"dn: {dn}\nobjectClass: inetOrgPerson\nentryUUID: {uuid.uuid5(uuid.NAMESPACE_DNS, uid)}\nuid: {uid}\n"
            f"cn: {name}\nsn: {family}\ngivenName: {given}\ndisplayName: {name}\nmail: {mail}\n"
        )
        records = [*self._records(), record]
        self._write([self._with(item, f"member: {dn}") if self._is(item, groups) else item for item in records])

    def leave(self, uid: str) -> None:
        """Somebody leaves: the entry goes, and so does every mention of it in a group."""
        dn = f"uid={uid},ou=People,{SUFFIX}"
        kept = [item for item in self._records() if not self._has(item, f"dn: {dn}")]
        mentions = {f"member: {dn}", f"uniqueMember: {dn}", f"memberUid: {uid}"}
        self._write(["".join(f"{line}\n" for line in item.splitlines() if line not in mentions) for item in kept])

    def replace(self, old: str, new: str) -> None:
        """Change one line, wherever it stands."""
        self._write(
            ["".join(f"{new if line == old else line}\n" for line in item.splitlines()) for item in self._records()]
        )

    def _records(self) -> list[str]:
        text = self.path.read_text(encoding="utf-8")
        return [record.strip("\n") + "\n" for record in text.split("\n\n") if record.strip()]

    def _write(self, records: list[str]) -> None:
        self.path.write_text("\n".join(records), encoding="utf-8")

    def _is(self, record: str, groups: list[str]) -> bool:
        return any(self._has(record, f"dn: cn={group},ou=Groups,{SUFFIX}") for group in groups)

    def _has(self, record: str, line: str) -> bool:
        return line in record.splitlines()

    def _with(self, record: str, line: str) -> str:
        return f"{record}{line}\n"
