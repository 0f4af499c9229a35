"""A connection: sources, one upstream, scope and policy, made from one configuration file.

Everything that can be wrong with the settings is found while it is made, before anything is contacted.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from agent.errors import UsageProblem
from agent.plan.leavers import Grace
from agent.plan.limits import Limits
from agent.plan.locks import Locks
from agent.plan.operations import Address
from agent.plugins import Source, sources_of
from agent.population.desired import Population, population_of
from agent.population.policy import DomainPolicy
from agent.population.protection import Protection, protection_of
from agent.population.scope import selection_of
from agent.schedule import check_schedule
from agent.settings import Settings, load_settings
from agent.state.database import schema_version
from agent.upstream.profile import ExternalUsers, profile_of
from agent.upstream.service import Service
from connectors.base import Wanted


@dataclass(frozen=True, slots=True)
class Connection:
    """What a cycle needs to know."""

    settings: Settings
    sources: tuple[Source, ...]
    population: Population
    service: Service
    limits: Limits = field(default_factory=Limits)
    protection: Protection = field(default_factory=lambda: protection_of(()))

    @property
    def grace(self) -> Grace:
        """How long after they left users and groups are deleted."""
        leavers = self.settings.leavers
        users, external, groups = (
            None if after == "never" else after
            for after in (leavers.delete_after, leavers.delete_external_after, leavers.delete_groups_after)
        )
        # An account that is the person's own is not ours to delete.
        return Grace(users, None if self.locks.profile else external, groups)

    @property
    def wanted(self) -> Wanted:
        """What the sources are asked for."""
        return Wanted(self.population.attributes)

    @property
    def source_names(self) -> frozenset[str]:
        """The names of the configured sources."""
        return frozenset(source.name for source in self.sources)

    @property
    def locks(self) -> Locks:
        """What the upstream does not let us change of external users."""
        behaviour = self.service.external_users
        return Locks(
            profile=behaviour is ExternalUsers.LOCKED,
            address=behaviour in {ExternalUsers.LOCKED, ExternalUsers.INVITE},
            replaced=self.settings.external.changed_address == "replace",
        )

    @property
    def fingerprint(self) -> str:
        """Changes with every setting that decides who is provisioned, and as what, and with the schema of the state.

        After a change everything is compared again, and nothing is removed until every source has been read
        completely (invariant 9).
        """
        parts = [
            self.settings.scope.model_dump_json(),
            self.settings.external.model_dump_json(),
            self.settings.mapping.model_dump_json(),
            self.settings.same_person.model_dump_json(),
            self.settings.upstream.url,
            self.settings.guard.model_dump_json(include={"protected"}),
            self.service.external_users,
            schema_version(),
        ]
        parts += [f"{source.name}:{source.fingerprint(self.wanted)}" for source in self.sources]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def connect(path: Path) -> Connection:
    """Read and check a configuration file. Raises UsageProblem; contacts nothing."""
    return connection_of(load_settings(path), path)


def connection_of(settings: Settings, path: Path) -> Connection:
    """Make the connection of checked settings that stand, or are going to, in `path`. Raises UsageProblem."""
    upstream = settings.upstream
    profile = profile_of(upstream.profile)
    try:
        check_schedule(settings.schedule)
        population = population_of(settings)
        protection = protection_of(settings.guard.protected)
        rules = tuple(
            (selection_of([name], "guard.group").selects, rule) for name, rule in settings.guard.group.items()
        )
    except UsageProblem as problem:
        raise UsageProblem(f"{path}: {problem}") from None
    return Connection(
        settings=settings,
        sources=sources_of(settings.sources, path),
        population=population,
        limits=Limits(settings.guard, rules),
        protection=protection,
        service=Service(
            url=upstream.url,
            token=upstream.token or SecretStr(""),
            ca_file=upstream.ca_file,
            timeout_seconds=upstream.timeout.total_seconds(),
            workers=upstream.workers,
            attempts=upstream.attempts,
            members_per_patch=upstream.members_per_patch,
            adopt=upstream.adopt,
            profile=profile,
            external_users=ExternalUsers(upstream.external_users or profile.external_users),
            address_of=partial(_address_of, population.policy),
            configuration=path,
        ),
    )


def _address_of(policy: DomainPolicy, email: str) -> Address:
    standing = policy.standing(email)
    return Address(
        email,
        standing.domain,
        external=standing.external,
        protected=standing.protected,
        blocked=standing.blocked,
    )


def secrets_of(connection: Connection) -> list[str]:
    """Return every secret the settings hold, for the logs to mask."""
    secrets = [connection.service.token.get_secret_value()]
    notice = connection.settings.notice
    if notice.smtp_password is not None:
        secrets.append(notice.smtp_password.get_secret_value())
    if notice.webhook_url is not None:
        url = notice.webhook_url.get_secret_value()
        # Libraries name the path alone. The shortest is no secret, and would mask every slash.
        secrets += [url, *(part for part in (urlsplit(url).path,) if len(part) > 1)]
    for source in connection.sources:
        values = (getattr(source.settings, field) for field in type(source.settings).model_fields)
        secrets.extend(value.get_secret_value() for value in values if isinstance(value, SecretStr))
    return secrets
