"""What the policy makes of a membership and of a user: pushed, held back, or taken out again.

Every membership is judged by itself, because a group may have a rule of its own. A user is pushed as soon as one
membership is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from agent.population.opt_in import Gate
from agent.population.policy import DomainPolicy, Standing, strictest
from agent.settings import Policy
from agent.state.database import upsert
from agent.state.tables import decided_user, desired_group, desired_member, same_person


@dataclass(frozen=True, slots=True)
class Treatment:
    """What becomes of a membership or a user.

    provisioned:  it is to stand upstream
    withdrawn:    it is to go from there, if it stands there
    held_back:    why it is not provisioned
    awaits:       somebody's decision would let it through
    """

    provisioned: bool
    withdrawn: bool = False
    held_back: str | None = None
    awaits: bool = False


PROVISIONED = Treatment(provisioned=True)


def treatment_of(
    policy: DomainPolicy, gate: Gate, standing: Standing, group_rule: Policy | None, *, decided: bool
) -> Treatment:
    """Judge one membership. `decided`: the user was on a list that somebody opted in to."""
    if standing.blocked:
        reason = f"the domain {standing.domain} is blocked ([external] blocked_domains)"
        return Treatment(provisioned=False, withdrawn=True, held_back=reason)
    if not standing.external:
        return PROVISIONED
    rule = strictest([standing.rule, group_rule]) or policy.default
    if rule is Policy.SKIP:
        reason = "external, and the policy is to skip external users"
        return Treatment(provisioned=False, withdrawn=policy.withdraws, held_back=reason)
    if not gate.is_open:
        return Treatment(
            provisioned=False, withdrawn=gate.withdrawn and policy.withdraws, held_back=gate.reason, awaits=True
        )
    if rule is Policy.REVIEW and not decided:
        reason = "external, and waits for a review: see rollcall external, then rollcall external opt-in"
        return Treatment(provisioned=False, held_back=reason, awaits=True)
    return PROVISIONED


def treat(
    connection: Connection, policy: DomainPolicy, gate: Gate, standings: dict[int, Standing], numbers: Sequence[int]
) -> dict[int, Treatment]:
    """Judge every membership of these users anew, and return what becomes of each user.

    A user without a standing has no address. Nobody knows whose domain it would be: that is no reason to hold
    anything back or to take anything away.
    """
    decided = _decided(connection, numbers)
    rows = connection.execute(
        select(desired_member, desired_group.c.rule)
        .join(desired_group, desired_group.c.entry_id == desired_member.c.group_id)
        .where(desired_member.c.user_id.in_(numbers))
    ).all()
    judged: dict[int, list[Treatment]] = {}
    changed: list[dict[str, object]] = []
    for row in rows:
        treatment = PROVISIONED
        if row.user_id in standings:
            rule = None if row.rule is None else Policy(row.rule)
            treatment = treatment_of(policy, gate, standings[row.user_id], rule, decided=row.user_id in decided)
        judged.setdefault(row.user_id, []).append(treatment)
        if (row.provisioned, row.withdrawn) != (treatment.provisioned, treatment.withdrawn):
            changed.append(
                {
                    "group_id": row.group_id,
                    "user_id": row.user_id,
                    "provisioned": treatment.provisioned,
                    "withdrawn": treatment.withdrawn,
                }
            )
    upsert(connection, desired_member, changed)
    return {number: _of_user(treatments) for number, treatments in judged.items()}


def _decided(connection: Connection, numbers: Sequence[int]) -> set[int]:
    """Return which of these users were decided about, by whichever entry of the person."""
    own = select(decided_user.c.entry_id).where(decided_user.c.entry_id.in_(numbers))
    led = (
        select(same_person.c.leader_id)
        .join(decided_user, decided_user.c.entry_id == same_person.c.entry_id)
        .where(same_person.c.leader_id.in_(numbers))
    )
    return {*connection.execute(own).scalars(), *connection.execute(led).scalars()}


def _of_user(treatments: list[Treatment]) -> Treatment:
    if any(treatment.provisioned for treatment in treatments):
        awaited = next((treatment for treatment in treatments if treatment.awaits), PROVISIONED)
        elsewhere = None if awaited.held_back is None else f"in some of the groups: {awaited.held_back}"
        return Treatment(provisioned=True, held_back=elsewhere, awaits=awaited.awaits)
    # Whoever waits in one group is not taken out of the service because of another.
    waiting = [treatment for treatment in treatments if not treatment.withdrawn]
    return min(waiting or treatments, key=lambda treatment: (not treatment.awaits, treatment.held_back or ""))
