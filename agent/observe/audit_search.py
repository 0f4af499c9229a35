"""Reading the audit trail: all files in their order, line by line, beside a daemon that goes on writing."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import orjson

from agent.domain_names import address_key
from agent.errors import UsageProblem
from agent.observe.audit_file import FILE_NAME, files_put_aside
from connectors.distinguished_name import DistinguishedNameError, normalise

Record = dict[str, Any]

_ATTEMPTS, _BETWEEN = 5, 0.1  # seconds


@dataclass(frozen=True, slots=True)
class Sought:
    """What is asked for. What is left out does not matter.

    cycle_id:  of a cycle, or of one person provisioned
    who:       an address, user name, DN, SCIM id, or name of a group
    scim_ids:  the ids upstream of whoever that is, as far as the trail tells
    """

    since: datetime | None = None
    until: datetime | None = None
    verb: str | None = None
    who: str | None = None
    cycle_id: str | None = None
    scim_ids: frozenset[str] = frozenset()

    def matches(self, record: Record) -> bool:
        """Tell whether a record is asked for."""
        at = moment_of(record)
        return (
            (self.since is None or (at is not None and at >= self.since))
            and (self.until is None or (at is not None and at <= self.until))
            and (self.verb is None or record.get("verb") == self.verb)
            and (self.cycle_id is None or record.get("cycle_id") == self.cycle_id)
            and (self.who is None or self._is_about(record) or any(map(self.is_member, members_of(record))))
        )

    def is_member(self, member: Record) -> bool:
        """Tell whether a member of a record is who is asked for."""
        return self.who is not None and (
            address_key(str(member.get("user_name") or "")) == address_key(self.who)
            or str(member.get("scim_id")) in self.scim_ids
            or str(member.get("scim_id") or "").casefold() == self.who.casefold()
        )

    def names(self, record: Record) -> bool:
        """Tell whether a record names who is asked for as the one it is about."""
        if self.who is None:
            return False
        key = address_key(self.who)
        named = (record.get("label"), record.get("address"), record.get("scim_id"))
        return any(address_key(str(name)) == key for name in named if name) or (
            "=" in self.who and bool(record.get("dn")) and _dn_key(str(record["dn"])) == _dn_key(self.who)
        )

    def _is_about(self, record: Record) -> bool:
        return self.names(record) or str(record.get("scim_id") or "") in self.scim_ids


def search(directory: Path, sought: Sought, notes: list[str]) -> Iterator[Record]:
    """Yield the records that are asked for, the oldest first. Raises UsageProblem.

    Whoever has had several names is found by each of them, for the id upstream stays. `notes` tells in the end what
    could not be read.
    """
    if sought.who is not None:
        ids = {str(record["scim_id"]) for record in records_of(directory, []) if _tells_id(sought, record)}
        sought = replace(sought, scim_ids=frozenset(ids))
    for record in records_of(directory, notes):
        if sought.matches(record):
            yield record


def _tells_id(sought: Sought, record: Record) -> bool:
    return bool(record.get("scim_id")) and sought.names(record)


def members_of(record: Record) -> list[Record]:
    """Return the members that a record is about. Older ones tell their entry numbers only."""
    listed = record.get("members")
    members = listed if isinstance(listed, list) else []
    return [member if isinstance(member, dict) else {"entry": member} for member in members]


def moment_of(record: Record) -> datetime | None:
    """Return when a record was written."""
    try:
        at = datetime.fromisoformat(str(record.get("at")))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def records_of(directory: Path, notes: list[str]) -> Iterator[Record]:
    """Yield every record of the trail, the oldest first, and note what could not be read. Raises UsageProblem.

    The file that is being written is opened first, and read last: should it be put aside meanwhile, it is still the
    same file, and those that were put aside after it are too new.
    """
    try:
        current = opened(directory / FILE_NAME)
        if current is None and not directory.is_dir():
            return
        try:
            for path in files_put_aside(directory):
                file = opened(path)
                if file is None:
                    continue
                with file:
                    if current is not None and os.path.sameopenfile(file.fileno(), current.fileno()):
                        break
                    yield from _records_in(file, path, notes)
            if current is not None:
                yield from _records_in(current, directory / FILE_NAME, notes)
        finally:
            if current is not None:
                current.close()
    except OSError as error:
        raise UsageProblem(
            f"The audit trail in {directory} cannot be read: {error.strerror or error}. Run as the service account, or "
            "correct the owner and the rights of the files."
        ) from error


def opened(path: Path) -> IO[bytes] | None:
    """Open a file of the trail; None where it is not there any more. Raises OSError."""
    with suppress(FileNotFoundError):  # the daemon may delete an old one at any moment
        for _ in range(_ATTEMPTS - 1):
            # Windows lets nobody open a file in the moment in which it is renamed.
            with suppress(PermissionError):
                return path.open("rb")
            time.sleep(_BETWEEN)
        return path.open("rb")
    return None


def _records_in(file: IO[bytes], path: Path, notes: list[str]) -> Iterator[Record]:
    for number, line in enumerate(file, start=1):
        record = _parsed(line)
        if record is not None:
            yield record
        elif line.strip():
            what = "is only half there" if not line.endswith(b"\n") else "is no record"
            notes.append(f"line {number} of {path.name} {what} and was left out")


def _parsed(line: bytes) -> Record | None:
    # Without its end it may be one that is being written just now.
    if not line.endswith(b"\n"):
        return None
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return record if isinstance(record, dict) else None


def _dn_key(text: str) -> str:
    try:
        return normalise(text)
    except DistinguishedNameError:
        return text.strip().casefold()
