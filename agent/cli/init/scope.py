"""Questions about who is meant: the groups, and the e-mail domains that are the organisation's own."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence

from rich.table import Table

from agent.cli.init.draft import Draft
from agent.cli.init.questions import Questions, by_number
from agent.cli.init.survey import Group, Survey
from agent.cli.terminal import printable
from agent.errors import UsageProblem
from connectors.distinguished_name import DistinguishedNameError, domain_of, normalise

_SHOWN = 40
_RANGE = re.compile(r"(\d{1,9})\s*(?:-\s*(\d{1,9}))?", re.ASCII)


def ask_for_groups(ask: Questions, draft: Draft, survey: Survey) -> bool:
    """Show the groups there are, and have some selected; False: there are none."""
    ask.heading("The groups")
    ask.say("Reading the directory …")
    for reason in survey.read(draft):
        ask.trouble(f"Not everything could be read: {reason}")
    groups = survey.groups()
    if not groups:
        ask.trouble(f"No group was found below {draft.source['base_dn']}. Name another base, or let the account read.")
        return False
    shown = _show(ask, groups, "")
    while True:
        answer = ask.ask(
            "Which ones? Numbers (1,3-5), a pattern for names (app-*), a DN; or /text lists those with the text in them"
        )
        if answer.startswith("/"):
            shown = _show(ask, groups, answer[1:])
            continue
        try:
            lines = selected(answer, groups, shown)
        except UsageProblem as error:
            ask.trouble(str(error))
            continue
        draft.sections["scope"] = {"groups": lines}
        return True


def selected(answer: str, groups: Sequence[Group], shown: Sequence[int]) -> list[str]:
    """Return the lines of [scope] groups for an answer. Raises UsageProblem.

    shown:  which numbers were listed last: a number that nobody has seen is a mistake
    """
    lines = [group.dn for group in groups if _is_name(answer) and normalise(answer) == normalise(group.dn)]
    if lines:
        return lines
    for part in filter(None, (part.strip() for part in answer.split(","))):
        numbers = _RANGE.fullmatch(part)
        if numbers is not None:
            first, last = int(numbers[1]), int(numbers[2] or numbers[1])
            wanted = [number for number in shown if first <= number <= last]
            if first > last or not {first, last} <= set(shown):
                raise UsageProblem(f'"{part}": the list shows no group of that number. /text shows others.')
            lines += [groups[number - 1].dn for number in wanted]
            continue
        pattern = part.removeprefix("name:").strip()
        meant = re.compile(fnmatch.translate(pattern.casefold()))
        if not any(meant.fullmatch(group.name.casefold()) for group in groups):
            raise UsageProblem(f'"{part}" is the name of no group, and no pattern that one answers to.')
        lines.append(f"name:{pattern}")
    if not lines:
        raise UsageProblem("No group was chosen; name at least one.")
    return list(dict.fromkeys(lines))


def _is_name(answer: str) -> bool:
    try:
        return bool(normalise(answer))
    except DistinguishedNameError:
        return False


def _show(ask: Questions, groups: Sequence[Group], text: str) -> list[int]:
    """List the groups with the text in their name or DN; return their numbers."""
    found = [
        number
        for number, group in enumerate(groups, start=1)
        if text.casefold() in group.name.casefold() or text.casefold() in group.dn.casefold()
    ]
    table = Table(box=None)
    for column in ("", "group", "people", "where"):
        table.add_column(column, overflow="fold", justify="right" if column in {"", "people"} else "left")
    for number in found[:_SHOWN]:
        group = groups[number - 1]
        table.add_row(str(number), printable(group.name), str(group.people), printable(group.dn))
    if found:
        ask.out.print(table)
    if len(found) > _SHOWN:
        ask.say(f"… and {len(found) - _SHOWN} more of {len(groups)}: write /text to see those with the text in them.")
    if not found:
        ask.say(f'No group has "{text}" in its name.')
    return found[:_SHOWN]


def ask_for_domains(ask: Questions, draft: Draft, survey: Survey) -> None:
    """Show the e-mail domains of the members, and ask which are the organisation's own."""
    ask.heading("The e-mail domains")
    survey.read(draft)
    found = survey.domains()
    names = [domain for domain, _ in found]
    ask.say("Members of these domains are in the groups:" if found else "No member of these groups has an address.")
    for number, (domain, people) in enumerate(found[:_SHOWN], start=1):
        ask.say(f"  {number}  {domain}, {people} {'person' if people == 1 else 'people'}")
    own = domain_of(normalise(str(draft.source["base_dn"])))
    answer = own if own in names else ""
    while True:
        answer = ask.ask("Which are your organisation's own? Numbers or domains; everybody else is external", answer)
        domains = [by_number(part, names) for part in answer.replace(",", " ").split()]
        draft.sections["external"] = {"managed_domains": domains}
        try:
            draft.connection()
        except UsageProblem as error:
            ask.trouble(str(error).replace(f"{draft.path}: ", ""))
            continue
        return
