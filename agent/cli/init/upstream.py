"""Questions about the service that is written to, and when."""

from __future__ import annotations

from typing import Any

from agent.cli.init.draft import Draft
from agent.cli.init.questions import Questions
from agent.errors import UsageProblem
from agent.settings_values import parse_duration
from agent.upstream.probe import probe, trouble_with_address
from agent.upstream.profile import PROFILES
from connectors.base import Finding

_UNKNOWN = "not-known-yet"


def ask_for_upstream(ask: Questions, draft: Draft) -> None:
    """Fill in [upstream], each answer tried at once."""
    ask.heading("The SCIM service")
    profile = ask.choose("Whose service is it? generic is every other", list(PROFILES), "generic")
    made: dict[str, Any] = {"url": "", "profile": profile}
    while True:
        _ask_for_address(ask, draft, made)
        while token := ask.secret("Its token (empty: another address)"):
            draft.sections["upstream"] = made | {"token": token}
            wrong = _tried(draft)
            if not wrong:
                return
            for finding in wrong:
                ask.trouble(" ".join(filter(None, (finding.message, finding.remedy))))


def _ask_for_address(ask: Questions, draft: Draft, made: dict[str, Any]) -> None:
    while True:
        made["url"] = ask.ask("Its SCIM address (https://api.example.com/scim/v2)", made["url"])
        draft.sections["upstream"] = made | {"token": _UNKNOWN, "attempts": 1}
        try:
            trouble = trouble_with_address(draft.connection().service)
        except UsageProblem as error:
            trouble = _plain(error, draft)
        if not trouble:
            return
        ask.trouble(trouble)
        # Only where it is about the certificate does an authority help.
        if "certificate" in trouble:
            named = ask.ask("File of the authority, in PEM form (empty: as before)", optional=True)
            made |= {"ca_file": named} if named else {}


def _tried(draft: Draft) -> list[Finding]:
    """Return what is wrong with the token, as `rollcall check` would say it."""
    try:
        return [finding for finding in probe(draft.connection().service) if not finding.ok]
    except UsageProblem as error:
        return [Finding("upstream", ok=False, message=_plain(error, draft))]


def ask_for_schedule(ask: Questions, draft: Draft) -> None:
    """Fill in [schedule]."""
    ask.heading("The schedule")
    answer = "5m"
    while True:
        answer = ask.ask("How often? Like 5m, 1h", answer)
        try:
            parse_duration(answer)
        except ValueError as error:
            ask.trouble(f'"{answer}": {error}.')
            answer = "5m"
            continue
        draft.sections["schedule"] = {"every": answer}
        return


def _plain(error: UsageProblem, draft: Draft) -> str:
    return str(error).replace(f"{draft.path}: ", "")
