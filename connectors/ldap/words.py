"""What goes wrong with a directory server, told to an administrator: what happened, where, and what to do next."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ldap3.core.results import RESULT_CODES

from connectors.errors import CertificateRejected, CredentialsRefused, SourceError, SourceUnreachable
from connectors.ldap.settings import DirectoryServer, DirectorySettings

NOTHING_THAT_TELLS = "nothing that tells it from others (entryUUID, nsUniqueId or objectGUID)"
_INVALID_CREDENTIALS = 49
# Another server may do better: busy, unavailable, unwillingToPerform.
_TRY_ANOTHER = frozenset({51, 52, 53})
_NEEDS_ENCRYPTION = frozenset({8, 13})  # strongerAuthRequired, confidentialityRequired

_REMEDIES = {
    3: "Raise the server's time limit for the bind account.",
    4: "Raise the server's size limit for the bind account (in OpenLDAP: limits … size=unlimited).",
    10: "The server refers to another one: name the server that holds the tree in urls.",
    11: "Raise the server's administrative limits for the bind account.",
    12: "The server cannot page results, which large directories need.",
    50: "Give the bind account the right to read there.",
    51: "The server is busy; the next cycle reads again.",
    52: "The server is unavailable; the next cycle reads again.",
}

# Active Directory says in the diagnostic message, as "data 52e", why it refused a logon.
_ACTIVE_DIRECTORY_CODE = re.compile(r"\bdata ([0-9a-f]{3}|80090346)\b", re.IGNORECASE)
_NO_REASON = "52e"  # by Kerberos; else the name or the password
_WRONG = "Check bind_dn and the password (bind_password_file, or rollcall secret {source}.bind_password)."
_RENEW = (
    "Give the account a new password, and write it into bind_password_file, or store it with rollcall secret "
    "{source}.bind_password (and the --config of this connection), or its key into keytab_file."
)
_ACTIVE_DIRECTORY_REASONS = {
    "525": "There is no such account. Correct bind_dn.",
    _NO_REASON: f"The name or the password is wrong. {_WRONG}",
    "530": "The account may not log on at this time. Take the limits of its logon hours away.",
    "531": "The account may not log on from everywhere. Take the limits of its workstations away.",
    "532": f"The password has expired. {_RENEW}",
    "533": "The account is disabled. Enable it.",
    "701": "The account has expired. Give it a later end.",
    "773": f"The password has to be changed before the next logon. {_RENEW}",
    "775": "The account is locked. Unlock it, and find out who logs on with a wrong password.",
    "80090346": "Something between changes the TLS channel (a proxy?): connect to the domain controller itself.",
}
# What a domain controller says of the account even by Kerberos; all else is about the ticket, and is its own affair.
_OF_THE_ACCOUNT = frozenset({"525", "530", "531", "532", "533", "701", "773", "775"})
ANOTHER_KEY = (
    "The ticket seems to be for another key than the controller's: see that its name leads to it, and that no other "
    "account has its service principal name (setspn -X)."
)
_CHECK = {
    "simple": _WRONG,
    "kerberos": "Check the account and the domain controller's log.",
}
_ENCRYPT = {
    "simple": "Use ldaps:// or StartTLS.",
    "kerberos": "Let the server be content with TLS (Samba: ldap server require strong auth = allow_sasl_over_tls), or "
    'use logon = "simple".',
}


def search_ended(url: str, settings: DirectorySettings, base: str, seen: int, result: Mapping[str, Any]) -> str:
    """Tell of a search that ended otherwise than with success, after `seen` entries."""
    code = int(result["result"])
    where = f"below {base}" if base else "for the root DSE"
    said = f", saying: {result['message']}" if result.get("message") else ""
    remedy = _REMEDIES.get(code, "See the directory server's log.")
    return (
        f"source {settings.name}: the search {where} at {url} ended with "
        f"{RESULT_CODES.get(code, 'an unknown result')} ({code}) after {seen} entries{said}. {remedy} What was "
        "not read stays as it was."
    )


def connection_lost(url: str, settings: DirectorySettings, base: str, seen: int, error: Exception) -> str:
    """Tell of a connection that broke, or an answer that did not come or could not be understood."""
    return (
        f"source {settings.name}: the connection to {url} was lost after {seen} entries below {base} "
        f"({error}). Check the server and the network; the next cycle reads again. What was not read stays as it was."
    )


def no_base(url: str, settings: DirectorySettings, base: str) -> str:
    """Tell of a base that the server does not have, or does not show."""
    return f"source {settings.name}: {out_of_sight(url, base)} What was not read stays as it was."


def out_of_sight(url: str, base: str) -> str:
    """Tell the same as one doubt among others."""
    return (
        f"there is no {base} at {url}, or the account may not see it. Correct base_dn, or give the account the right "
        "to read it."
    )


def nothing_but_its_name(url: str, base: str) -> str:
    """Tell of a base that is there, and shows neither what tells it from others nor anybody below it."""
    return (
        f"{base} shows the account at {url} {NOTHING_THAT_TELLS}, and nobody below it can be seen. Give the account "
        "the right to read it and what is below it, or correct base_dn."
    )


def no_longer_seen(url: str, base: str) -> str:
    """Tell of a base that could be read before, though somebody below it can be seen."""
    return (
        f"{base} at {url} could be read before, and the account may not see it any more, so what is below it may be "
        "out of sight, too. Give the account that right back; if it is to be so, run rollcall sync --full."
    )


def not_synchronised(url: str, base: str, seen: int, result: Mapping[str, Any]) -> str:
    """Tell of a content synchronisation that ended otherwise than with success, after `seen` entries."""
    code = int(result["result"])
    said = f", saying: {result['message']}" if result.get("message") else ""
    name = RESULT_CODES.get(code, "an unknown result")
    return f"{url} did not go on from the last read of {base}: {name} ({code}) after {seen} entries{said}"


def another_directory(url: str, settings: DirectorySettings) -> str:
    """Tell of a directory that is not the one that was read before."""
    return (
        f"{url} is not the directory that was read before: the identity of {' or '.join(settings.scopes)} is another, "
        "or can no longer be read. If the directory was built anew or replaced on purpose, run rollcall sync --full; "
        f"else correct {'urls' if settings.urls else 'domain'} or the account's rights."
    )


def an_older_directory(url: str, settings: DirectorySettings) -> str:
    """Tell of a directory that knows less than was read before."""
    return (
        f"{url} knows less of {' and '.join(settings.scopes)} than was read before. A replica that lags behind will "
        "catch up by itself; if the directory was restored from a backup, run rollcall sync --full."
    )


def no_sentinel(url: str, settings: DirectorySettings) -> str:
    """Tell that the sentinel is out of sight."""
    return (
        f"the sentinel {settings.sentinel} cannot be read at {url}, so the account seems to have lost "
        "rights. Restore them, or correct sentinel."
    )


def logon_refused(url: str, settings: DirectorySettings, result: Mapping[str, Any]) -> SourceError:
    """Make the error for a bind that was answered otherwise than with success.

    CredentialsRefused when another server would refuse it, too, or a further attempt could lock the account.
    """
    code = int(result["result"])
    message = str(result.get("message") or "")
    who = settings.bind_dn or "an anonymous account"
    said = f" ({RESULT_CODES.get(code, code)}{': ' + message if message else ''})"
    if code in _TRY_ANOTHER:
        return SourceUnreachable(
            f"source {settings.name}: {url} cannot serve the logon of {who} now{said}. The next cycle tries again. "
            "Nothing is removed."
        )
    what = "logon"
    remedy = _ENCRYPT[settings.logon] if code in _NEEDS_ENCRYPTION else "Check bind_dn and the account at the server."
    by_ticket = settings.logon == "kerberos"
    trouble: type[SourceError] = SourceUnreachable if by_ticket else CredentialsRefused
    if code == _INVALID_CREDENTIALS:
        what = "ticket" if by_ticket else "name or password"
        found = _ACTIVE_DIRECTORY_CODE.search(message)
        reason = found[1].lower() if found else ""
        remedy = _ACTIVE_DIRECTORY_REASONS.get(reason, _CHECK[settings.logon])
        if by_ticket and reason == _NO_REASON:
            remedy = ANOTHER_KEY
        if reason in _OF_THE_ACCOUNT:
            trouble = CredentialsRefused
    remedy = remedy.format(source=settings.name)
    return trouble(f"source {settings.name}: {url} refuses the {what} of {who}{said}. {remedy} Nothing is removed.")


def no_connection(server: DirectoryServer, settings: DirectorySettings, error: Exception) -> SourceError:
    """Make the error for a server that could not be reached, or whose certificate could not be verified."""
    url = f"{server.url} (at {server.address})" if server.address else server.url
    text = str(error) or type(error).__name__
    if "certificate" in text.lower():
        named = (
            "write the server's name in urls as in the certificate"
            if settings.urls
            else "give the domain controller a certificate with the name by which DNS knows it"
        )
        return CertificateRejected(
            f"source {settings.name}: the certificate of {url} could not be verified: {_plain(text)}. "
            "Nothing was sent to it. "
            f"Name the authority that issued it as ca_file, and {named}."
        )
    if "WRONG_VERSION_NUMBER" in text:
        return SourceUnreachable(
            f"source {settings.name}: {url} answers, and not in TLS. Correct the port, or write ldap:// to have TLS "
            "begin by StartTLS. Nothing is removed."
        )
    return SourceUnreachable(
        f"source {settings.name}: {url} cannot be reached: {_plain(text)}. Check the address, the "
        "server and the network. "
        "Nothing is removed."
    )


def _plain(text: str) -> str:
    """Take ldap3's wrapping off: only the innermost cause helps anybody."""
    for needle in ("certificate verify failed: ", "certificate"):
        position = text.find(needle)
        if position >= 0:
            return text[position:].split(" (_ssl", maxsplit=1)[0].rstrip(")'\" ").strip()
    return text.rpartition("socket connection error while opening: ")[2].strip() or text
