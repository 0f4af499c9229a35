"""Questions about the directory: where it is, whom to trust, how to log on, where to read."""

from __future__ import annotations

import re
from contextlib import closing
from typing import Any

from agent.cli.init.draft import Draft
from agent.cli.init.questions import Questions, by_number
from agent.errors import UsageProblem
from agent.plugins import sources_of
from connectors.base import Connector, Exploring
from connectors.errors import CertificateRejected, CredentialsRefused, ReadInterrupted, SourceError

_KINDS = ("ldap", "active-directory")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
_NO_BASE = "dc=invalid"  # until it is asked for; nothing is read there


def ask_for_source(ask: Questions, draft: Draft) -> None:
    """Fill in `draft.source`, each answer tried at once."""
    ask.heading("The directory")
    kind = ask.choose("What kind of directory is it?", _KINDS, "ldap")
    name = ""
    while not _NAME.fullmatch(name):
        name = ask.ask("A short name for it, in small letters, which stays", "corp")
    draft.source = {"name": name, "connector": kind}
    _ask_for_address(ask, draft)
    _ask_for_account(ask, draft)
    ask_for_base(ask, draft)


def _ask_for_address(ask: Questions, draft: Draft) -> None:
    in_domain = draft.source["connector"] == "active-directory"
    question = (
        "The domain (corp.example), or the domain controllers (ldaps://dc1.corp.example, several with spaces)"
        if in_domain
        else "The server (ldap1.corp.example or ldaps://ldap1.corp.example, several with spaces)"
    )
    answer = ""
    while True:
        answer = ask.ask(question, answer)
        troubles = []
        for place in _places(answer, in_domain=in_domain):
            trouble = _trouble_with(ask, draft, place)
            if not trouble:
                draft.source |= place
                return
            troubles.append(trouble)
        ask.trouble("\n".join(dict.fromkeys(troubles)))


def _places(answer: str, *, in_domain: bool) -> list[dict[str, Any]]:
    """Return what the answer may mean, in the order to try it: encrypted from the first byte before StartTLS."""
    names = answer.replace(",", " ").split()
    if any("://" in name for name in names):
        return [{"urls": names}]
    if in_domain:
        return [{"domain": answer.strip()}]
    return [{"urls": [f"{scheme}://{name}" for name in names]} for scheme in ("ldaps", "ldap")]


def _trouble_with(ask: Questions, draft: Draft, place: dict[str, Any]) -> str:
    """Try an address without an account; a certificate that is not trusted is asked about. Empty: it answers."""
    while True:
        try:
            _bases(draft, place)
        except CertificateRejected as error:
            ask.trouble(_plain(error, draft))
            if not _ask_for_authority(ask, draft, place):
                return "Then another address, please."
        except (CredentialsRefused, ReadInterrupted):
            return ""  # it answers, and wants to know who is asking
        except (SourceError, UsageProblem) as error:
            return _plain(error, draft)
        else:
            return ""


def _ask_for_authority(ask: Questions, draft: Draft, place: dict[str, Any]) -> bool:
    """Have the authority's file named; return whether one was."""
    former = draft.source.pop("ca_file", "")
    with closing(_connector(draft, place)) as connector:
        shown = connector.certificate() if isinstance(connector, Exploring) else ""
    if shown:
        ask.say(
            f"The server shows a certificate with the SHA-256 fingerprint\n  {shown}\n"
            "Ask whoever runs the server whether that is theirs, and for the certificate of the authority behind it."
        )
    while True:
        answer = ask.ask("File of that authority, in PEM form (empty: another address)", str(former), optional=True)
        if not answer:
            return False
        draft.source["ca_file"] = answer
        try:
            _connector(draft, place).close()
        except UsageProblem as error:
            ask.trouble(_plain(error, draft))
            del draft.source["ca_file"]
            continue
        return True


def _ask_for_account(ask: Questions, draft: Draft) -> None:
    in_domain = draft.source["connector"] == "active-directory"
    example = "rollcall@corp.example" if in_domain else "cn=rollcall,ou=Services,dc=corp,dc=example"
    who = ""
    while True:
        who = ask.ask(f"The account that reads the directory ({example})", who)
        # Never offered again: a second attempt with a wrong password may lock the account.
        password = ask.secret("Its password")
        draft.source |= {"bind_dn": who, "bind_password": password}
        try:
            _bases(draft)
        except (SourceError, UsageProblem) as error:
            ask.trouble(_plain(error, draft))
        else:
            return


def ask_for_base(ask: Questions, draft: Draft) -> None:
    """Have one of the bases chosen, or another named, and try it."""
    try:
        bases = _bases(draft)
    except SourceError as error:
        ask.trouble(_plain(error, draft))
        bases = ()
    answer = str(draft.source.get("base_dn", "")) or next(iter(bases), "")
    while True:
        for number, base in enumerate(bases, start=1):
            ask.say(f"  {number}  {base}")
        answer = by_number(ask.ask("Where people and groups are (one of these, or another DN)", answer), bases)
        draft.source["base_dn"] = answer
        try:
            with closing(_connector(draft)) as connector:
                wrong = [finding for finding in connector.check() if not finding.ok]
        except UsageProblem as error:
            ask.trouble(_plain(error, draft))
            continue
        for finding in wrong:
            ask.trouble(f"{finding.message.removeprefix(f'{finding.subject}: ')}. {finding.remedy}")
        if not wrong or ask.confirm("Go on with it all the same?", default=False):
            return


def _connector(draft: Draft, place: dict[str, Any] | None = None) -> Connector:
    table = {"base_dn": _NO_BASE} | draft.source | (place or {})
    if "ca_file" in table:
        table["ca_file"] = str(draft.path.absolute().parent / str(table["ca_file"]))
    (source,) = sources_of((table,), draft.unwritten)
    return source.open()


def _bases(draft: Draft, place: dict[str, Any] | None = None) -> tuple[str, ...]:
    """Log on as far as the answers go. Raises SourceError and UsageProblem."""
    with closing(_connector(draft, place)) as connector:
        return connector.bases() if isinstance(connector, Exploring) else ()


def _plain(error: Exception, draft: Draft) -> str:
    """Take off what is plain while somebody is being asked: the file, the source, and that nothing is removed."""
    name = draft.source["name"]
    text = str(error).replace(f"{draft.unwritten}: sources.{name}: ", "").replace(f"source {name}: ", "")
    check = f" Check bind_dn and the password (bind_password_file, or rollcall secret {name}.bind_password)."
    for words in (" Nothing is removed.", check):
        text = text.replace(words, "")
    return text
