"""An explanation in words: the verdict first, then what it rests on, section by section."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from agent.cli.terminal import EXIT_MEANING
from agent.directory.unread import NOT_READ
from agent.errors import ExitCode
from agent.explanation.explanation import Explanation, Found
from agent.explanation.facts import Account, EntrySeen, GroupPath, Membership, Sent, SourceSeen
from connectors.base import Completeness, EntryKind
from connectors.distinguished_name import DistinguishedNameError, first_value

Line = tuple[str, str]  # and its style
_CONCERNS_EVERYBODY = frozenset({ExitCode.GUARD, ExitCode.SOURCE_INCOMPLETE, ExitCode.UPSTREAM})
_CHANGED = (
    "The settings have changed since: rules and mapping are those of today, the rest is of that cycle, and the next "
    "one compares everything."
)


def lines_of(told: Explanation) -> Iterator[Line]:
    """Yield the lines. What a directory holds is not to be trusted with a terminal: nothing in them controls one."""
    for text, style in _lines(told):
        yield "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text), style


def _lines(told: Explanation) -> Iterator[Line]:
    yield told.verdict.sentence, "bold green" if told.verdict.provisioned else "bold yellow"
    if told.verdict.remedy:
        yield told.verdict.remedy, ""
    yield "", ""
    yield _as_of(told), ""
    if told.settings_changed:
        yield _CHANGED, "yellow"
    for title, lines in _sections(told):
        if lines:
            yield "", ""
            yield title, "bold"
            yield from ((f"  {line}", "") for line in lines)


def _as_of(told: Explanation) -> str:
    asked = "Neither a directory nor the upstream was asked."
    if told.as_of is None:
        return f"No cycle has ended yet, so this may be half of the truth. {asked}"
    code = ExitCode(told.as_of.exit_code)
    meaning = f" ({EXIT_MEANING[code]})" if code in _CONCERNS_EVERYBODY else ""
    cycle = f"the cycle that ended at {_at(told.as_of.ended_at)}, with exit code {int(code)}{meaning}"
    if told.read_at is not None and told.read_at > told.as_of.ended_at:
        return f"As of the read that ended at {_at(told.read_at)}, after {cycle}. {asked}"
    return f"As of {cycle}. {asked}"


def _sections(told: Explanation) -> Iterator[tuple[str, list[str]]]:
    match told.found:
        case Found.SEVERAL:
            yield (
                "Who it may be",
                [
                    f"{item.dn} ({item.kind} of source {item.source}{'' if item.present else ', gone'}), by "
                    f"{item.matched_by}; anchor {item.anchor}"
                    for item in told.candidates
                ],
            )
            return
        case Found.GROUP:
            yield "Group", _group(told)
            yield "It is in", _paths(told.paths, told.more_paths)
            yield "Last attempts", _attempts(told)
            return
        case Found.PERSON:
            yield f"Found by {told.matched_by}", [*_entries(told.entries), *_as_of_sources(told)]
            yield "In the groups", _memberships(told)
            yield "Managed or external", [] if told.policy is None else list(told.policy.sentences)
            yield "What is sent", _mapping(told)
            yield "Upstream", _upstream(told)
            yield "Last attempts", _attempts(told)
            yield "Next cycle", _next(told)
            return
    yield (
        "Listed all the same",
        [
            f"{item.name}: by {', '.join(item.listed_by)}; in the selected groups: "
            f"{', '.join(item.selected_groups) or 'none'}. It lies in {item.domain}: {item.remedy}."
            for item in told.unknown_members
        ],
    )
    yield "Where was looked", [line for source in told.sources for line in _source(source, reads=True)]


def _entries(entries: Sequence[EntrySeen]) -> list[str]:
    lines = []
    for item in entries:
        state = "enabled" if item.active else "disabled"
        state = "gone" if item.gone is not None else "not read yet" if item.unread else state
        leads = ", leads the others" if item.leads and len(entries) > 1 else ""
        lines.append(f"{item.dn}: {item.kind} of source {item.source}, {state}, anchor {item.anchor}{leads}")
        if item.gone is not None:
            lines.append(f"- gone: {item.gone}")
        if item.unreadable is not None:
            lines.append(f"- stays as it was, because it cannot be understood by now: {item.unreadable}")
    return lines


def _as_of_sources(told: Explanation) -> list[str]:
    theirs = {item.source for item in told.entries}
    gone = any(item.gone is not None for item in told.entries)
    return [line for source in told.sources if source.name in theirs for line in _source(source, reads=gone)]


def _source(source: SourceSeen, *, reads: bool) -> list[str]:
    if source.last_read_at is None:
        lines = [f"source {source.name}: not read yet"]
    elif source.completeness == Completeness.COMPLETE:
        lines = [f"source {source.name}: read completely at {_at(source.last_read_at)}"]
    else:
        whole = "never" if source.last_complete_at is None else f"at {_at(source.last_complete_at)}"
        last = f"the read at {_at(source.last_read_at)} was {source.completeness}"
        lines = [f"source {source.name}: {last}; everything was last read completely {whole}"]
    if source.reason:
        lines.append(f"- {source.reason}")
    if not source.configured:
        lines.append("- it is no longer configured: its people are kept as they were")
    return [*lines, *(f"- it reads {line}" for line in source.reads if reads)]


def _memberships(told: Explanation) -> list[str]:
    (entry, *others) = told.entries
    lines = _paths(told.paths, told.more_paths, short=None if others else entry.dn)
    lines += [line for item in told.memberships for line in _membership(item)]
    if not lines and told.listed_by:
        lines.append(f"none that is selected; listed by {', '.join(told.listed_by)}")
    return lines or ["none"]


def _paths(paths: Sequence[GroupPath], more: int, *, short: str | None = None) -> list[str]:
    """Write the ways down. short: the one entry that needs no whole name."""
    lines = []
    for path in paths:
        entry = _first_value(path.entry) if path.entry == short else path.entry
        way = " > ".join((*path.groups, entry))
        notes = ["it is the primary group"] if path.by_primary_group else []
        notes += [f"{name} is out of sight, and its last known members stay" for name in path.out_of_sight]
        lines.append(way + (f" ({'; '.join(notes)})" if notes else ""))
    return [*lines, *([f"and {more} more ways"] if more else [])]


def _membership(item: Membership) -> list[str]:
    selected = f"selected by {', '.join(item.lines)}" if item.lines else "not selected any more"
    if item.kept == NOT_READ:
        return [f"{item.group}: there upstream; {item.kept}"]
    listed = "listed" if item.listed else "not listed any more"
    if item.listed and (item.rule or not item.let_in):
        listed += f", {'let in' if item.let_in else 'held back'} by {item.rule or 'the policy'}"
    upstream = "not known upstream" if item.in_doubt else "there upstream" if item.upstream else "not there upstream"
    line = f"{item.group}: {selected}; {listed}; {upstream}"
    notes = [] if item.kept is None else [f"- stays there: {item.kept}"]
    notes += [] if item.held is None else [f"- {item.held}"]
    return [line, *([f"- {item.problem}"] if item.problem else []), *notes]


def _mapping(told: Explanation) -> list[str]:
    if told.mapping is None:
        return []
    several = len(told.entries) > 1
    return [*(_sent(item, several=several) for item in told.mapping.attributes), told.mapping.compared]


def _sent(item: Sent, *, several: bool) -> str:
    result = f"{item.attribute} = {item.result}" if item.result else f"{item.attribute} is not sent"
    values = [
        f"{value.attribute} = {' | '.join(value.values)}" + (f" (source {value.source})" if several else "")
        for value in item.values
    ]
    values += [f"no {attribute}" for attribute in item.without_value]
    return f"{result}, from {item.template}" + (f": {', '.join(values)}" if values else "")


def _upstream(told: Explanation) -> list[str]:
    lines = ["nothing that Rollcall made or took over"] if told.upstream is None else _account(told.upstream)
    for former in told.former_accounts:
        groups = f"still in {', '.join(former.groups)}" if former.groups else "in no group"
        lines.append(
            f"former account {former.scim_id}, {former.user_name}, replaced at {_at(former.replaced_at)}: {groups}"
        )
    return lines


def _account(account: Account) -> list[str]:
    state = "active" if account.active else "not active"
    address = f", address {account.email}" if account.email and account.email != account.user_name else ""
    known = f"SCIM id {account.scim_id}, userName {account.user_name}{address}, {state}, {account.origin}"
    lines = [
        f"{known}; last acknowledged at {_at(account.acknowledged_at)}",
        f"groups: {', '.join(account.groups) or 'none'}",
    ]
    if account.unlinked_at is not None:
        lines.append(f"probably unlinked since {_at(account.unlinked_at)}: its memberships give no access any more")
    return lines


def _attempts(told: Explanation) -> list[str]:
    lines = []
    for item in told.attempts:
        if not item.verb:
            lines.append(item.detail)
            continue
        cause = f" (because: {item.cause})" if item.cause not in {"", "directory differs from upstream"} else ""
        at = _at(datetime.fromisoformat(item.at))
        lines.append(f"{at} {item.verb} {item.object}: {item.result}, {item.detail}{cause}")
    if not told.attempts_complete:
        lines.append("older records were not looked through")
    for refusal in told.refusals:
        again = "when somebody runs rollcall sync --full"
        if refusal.next_attempt_at is not None:
            again = f"after {_at(refusal.next_attempt_at)}"
        lines.append(
            f"refused: {refusal.operation} {refusal.object}, attempt {refusal.attempts}, since "
            f"{_at(refusal.first_at)}; tried again {again}: {refusal.reason}"
        )
    return lines or ["none"]


def _next(told: Explanation) -> list[str]:
    lines = []
    for item in told.next:
        waits = f"; but {item.waits}" if item.waits is not None else ""
        lines.append(f"{item.verb} {item.object}: {item.why}{waits}")
    return lines or ["nothing"]


def _group(told: Explanation) -> list[str]:
    group = told.group
    if group is None:
        return []
    lines = [
        f"{group.dn}: {EntryKind.GROUP} of source {group.source}, anchor {group.anchor}",
        f"selected by {', '.join(group.lines)}" if group.lines else "not selected",
    ]
    if group.lines:
        whole = "" if group.complete else ", and the list is not known to be whole, so nobody is removed"
        lines.append(f"{group.members} people in it{whole}; {group.unknown_members} more that no source can name")
        doubt = ", in doubt until it has been read back" if group.in_doubt else ""
        lines.append(f"upstream: SCIM id {group.scim_id}, {group.members_upstream} members{doubt}")
    return lines if group.held is None else [*lines, group.held]


def _first_value(dn: str) -> str:
    try:
        return first_value(dn)
    except DistinguishedNameError:
        return dn


def _at(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
