"""Logging on by Kerberos (SASL GSSAPI, RFC 4752), with the key of a keytab.

The packages it needs are an extra; the settings make sure that they are there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from connectors.errors import CredentialsRefused, SourceError, SourceUnreachable
from connectors.ldap.settings import DirectorySettings
from connectors.ldap.words import ANOTHER_KEY, logon_refused

_NEW_KEYTAB = "Every new password makes the keytab useless: write a new one, for example with ktpass or samba-tool."
_NO_KEY = "keytab_file holds no key of that name: write bind_dn as in it (klist -k shows it), or a new file."
_CLOCKS = "The clocks of this machine and the domain controller differ by too much: let NTP set them."
_SUCCESS, _IN_PROGRESS = 0, 14
# The codes of MIT Kerberos (krb5_err.et), from which RFC 4120's error codes (7.5.9) count upwards.
_FIRST = -1765328384
_SERVICE_UNKNOWN = _FIRST + 7
_ENCRYPTION = _FIRST + 14
# The account or its key; another controller would say the same.
_ACCOUNT = {
    _FIRST + 1: "The account has expired: give it a later end.",
    _FIRST + 6: "There is no such account: write bind_dn as NAME@REALM, the realm in capitals.",
    _FIRST + 18: "The account is disabled, locked or expired: enable or unlock it.",
    _FIRST + 23: f"The password has expired: give the account a new one. {_NEW_KEYTAB}",
    _FIRST + 24: f"The key in keytab_file is not that of the account. {_NEW_KEYTAB}",
    _FIRST + 181: _NO_KEY,
    _FIRST + 195: _NO_KEY,
}
_KEYTAB = {_ENCRYPTION: "The domain takes none of the encryption types in keytab_file: write a new one, with AES keys."}
_UNREACHABLE = {
    _FIRST + 37: _CLOCKS,
    _FIRST + 154: "Correct the realm in bind_dn, or name its domain controllers as kdc in krb5.conf.",
    _FIRST + 156: "Check krb5.conf, that the domain controllers answer on port 88, and the network.",
}
_CONTROLLER = {
    _ENCRYPTION: "The controller's account has no key of an encryption type that krb5.conf permits here.",
    _FIRST + 31: ANOTHER_KEY,
    _FIRST + 32: _CLOCKS,
    _FIRST + 33: _CLOCKS,
    _FIRST + 35: ANOTHER_KEY,
    _FIRST + 41: ANOTHER_KEY,
    _FIRST + 44: ANOTHER_KEY,
    _FIRST + 45: ANOTHER_KEY,
}


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket for the account, in a file."""

    settings: DirectorySettings
    file: Path

    def for_one_connection(self) -> Any:  # noqa: ANN401 - an extra's class
        """Return it as ldap3 wants it, which uses up what it is given. Raises SourceError."""
        return _credentials(self.settings, {"ccache": f"FILE:{self.file}"})


@contextmanager
def ticket_of(settings: DirectorySettings) -> Iterator[Ticket]:
    """Get a ticket for the account, by the key in the keytab. Raises SourceError.

    It lives as long as the context and no longer, so that nothing goes on with what a new keytab has replaced, and
    whatever tickets others have on this machine are left alone.
    """
    try:
        place = tempfile.TemporaryDirectory(prefix="rollcall-")  # nobody else may read it
    except OSError as error:
        raise SourceUnreachable(
            f"source {settings.name}: there is no place for a Kerberos ticket: {error}. Give the agent a directory "
            "for temporary files. Nothing is removed."
        ) from error
    with place as directory:
        ticket = Ticket(settings, Path(directory) / "tickets")
        _credentials(settings, {"client_keytab": f"FILE:{settings.keytab_file}", "ccache": f"FILE:{ticket.file}"})
        yield ticket


def bind_with_ticket(connection: Any, url: str, settings: DirectorySettings) -> None:  # noqa: ANN401 - ldap3 has no types
    """Bind a connection that was made with a ticket. Raises SourceError, and what ldap3 raises.

    The key of the account was accepted before, when the ticket was got, and no key or password is shown here that could
    be counted as a wrong one. So trouble is the controller's, but for what is said of the account: CredentialsRefused.
    """
    import gssapi  # noqa: PLC0415 - an extra

    answers: list[dict[str, Any]] = []
    receive = connection.post_send_single_response

    def listen(message_id: int) -> Any:  # noqa: ANN401 - ldap3 has no types
        response = receive(message_id)
        answers.append(dict(connection.result))
        return response

    # ldap3 2.9.1 takes a refusal for an empty token, which GSSAPI then finds invalid; what the server said is lost.
    connection.post_send_single_response = listen
    try:
        connection.bind(read_server_info=False)
    except gssapi.exceptions.GSSError as error:
        for answer in answers[:-1]:  # the last answers the attempt to abort
            if answer["result"] not in {_SUCCESS, _IN_PROGRESS} and not answer["saslCreds"]:
                raise logon_refused(url, settings, answer) from error
        raise _not_taken(url, settings, error) from error


def _credentials(settings: DirectorySettings, store: dict[str, str]) -> Any:  # noqa: ANN401 - an extra's class
    import gssapi  # noqa: PLC0415 - an extra

    try:
        principal = gssapi.Name(settings.bind_dn, gssapi.NameType.kerberos_principal)
        return gssapi.Credentials(name=principal, usage="initiate", store=store)
    except gssapi.exceptions.GSSError as error:
        raise _no_ticket(settings, error) from error


def _not_taken(url: str, settings: DirectorySettings, error: Any) -> SourceError:  # noqa: ANN401 - an extra's class
    code, said = _code(error), _said(error)
    if code == _SERVICE_UNKNOWN:
        remedy = "Write the controller's own name in urls, never an address or an alias."
        if not settings.urls:
            service = f"ldap/{urlsplit(url).hostname}"
            remedy = f"Give the controller's account that name (setspn -S {service}), or name the others as urls."
        return SourceUnreachable(
            f"source {settings.name}: Kerberos knows no service ldap of {url} ({said}). {remedy} Nothing is removed."
        )
    trouble = CredentialsRefused if code in _ACCOUNT else SourceUnreachable
    remedy = (_ACCOUNT | _UNREACHABLE | _CONTROLLER).get(code, "Check the domain controller's log.")
    return trouble(
        f"source {settings.name}: {url} does not take the Kerberos ticket of {settings.bind_dn} ({said}). {remedy} "
        "Nothing is removed."
    )


def _no_ticket(settings: DirectorySettings, error: Any) -> SourceError:  # noqa: ANN401 - an extra's class
    code = _code(error)
    trouble = CredentialsRefused if code in _ACCOUNT | _KEYTAB else SourceUnreachable
    remedy = (_ACCOUNT | _KEYTAB | _UNREACHABLE).get(code, "Check krb5.conf, bind_dn and keytab_file.")
    return trouble(
        f"source {settings.name}: there is no Kerberos ticket to be had for {settings.bind_dn} with "
        f"{settings.keytab_file} ({_said(error)}). {remedy} Nothing is removed."
    )


def _code(error: Any) -> int:  # noqa: ANN401 - an extra's class
    """Return the mechanism's code, which GSSAPI shows without its sign."""
    return int(error.min_code) - 2**32 if error.min_code >= 2**31 else int(error.min_code)


def _said(error: Any) -> str:  # noqa: ANN401 - an extra's class
    return str(error).rpartition("): ")[2]
