"""Every setting, with its default, its unit and its check. agent.example.toml shows them all.

The file is TOML; environment variables `ROLLCALL_SECTION__KEY` override it. Everything is checked as a whole before
anything is contacted. What belongs to one kind of source is checked by that connector's own settings class.
Relative paths are taken from the directory of the file.
"""

from __future__ import annotations

import re
import tomllib
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from agent.command_line import rollcall
from agent.domain_names import ascii_form
from agent.errors import UsageProblem
from agent.health_settings import HealthSettings
from agent.notice_settings import NoticeSettings, with_notice_secrets
from agent.operating_system import credentials_beside, default_state_directory, state_directory_of
from agent.settings_problems import describe_environment, describe_problems
from agent.settings_secrets import resolve_secret, told_of_encrypted
from agent.settings_values import Duration, DurationOrForEver, DurationOrNever, Section, Share, Size, Whole

_LONGEST_TIMEOUT = timedelta(seconds=90)
_DOMAIN = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")


def _domain(value: str) -> str:
    """Compare domains in lower case and as A-labels, however they are written."""
    try:
        form = ascii_form(value)
    except ValueError:
        form = ""
    if not _DOMAIN.fullmatch(form):
        raise ValueError(f'"{value}" is not a domain; write it like "corp.example", without "@" or "*"')
    return form


def _folded(value: str) -> str:
    try:
        return ascii_form(value)
    except ValueError:
        return value  # that it is no domain is told when it is checked


Domain = Annotated[str, AfterValidator(_domain)]


class AgentSettings(Section):
    """[agent]: where the state is kept and how the logs look."""

    state_dir: Path = Field(default_factory=default_state_directory)
    log_format: Literal["auto", "console", "json"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"


def _no_silence(value: timedelta) -> timedelta:
    """To connect, to encrypt and to answer may take so long each; 300 seconds of silence are held to be no life."""
    if value > _LONGEST_TIMEOUT:
        raise ValueError(
            f'write "{int(_LONGEST_TIMEOUT.total_seconds())}s" at most: connecting, encrypting and the answer may '
            "take so long each, and who waits for more than 300 seconds is taken for one that hangs"
        )
    return value


class UpstreamSettings(Section):
    """[upstream]: the SCIM service. `timeout` is per request.

    external_users: what the service does with users of domains the organisation has not verified, where that is not
                    what its profile says (agent/upstream/profile.py)
    """

    url: str
    profile: str = "generic"
    external_users: Literal["locked", "invite", "ordinary", "refuse"] | None = None
    token: SecretStr | None = None
    token_file: Path | None = None
    ca_file: Path | None = None
    timeout: Annotated[Duration, AfterValidator(_no_silence)] = timedelta(seconds=30)
    workers: Whole = Field(default=8, ge=1, le=64)
    attempts: Whole = Field(default=5, ge=1, le=20)
    members_per_patch: Whole = Field(default=100, ge=1, le=10_000)
    adopt: bool = True


class ScopeSettings(Section):
    """[scope]: which groups. A text is a DN, or `name:` and a pattern with * and ? on the group's name."""

    groups: tuple[str, ...] = Field(min_length=1)
    nested: Literal["flatten", "direct"] = "flatten"


class Policy(StrEnum):
    """What happens to an external user: pushed, left out, or left out until somebody has decided."""

    PROVISION = "provision"
    SKIP = "skip"
    REVIEW = "review"


class ExternalSettings(Section):
    """[external]: which domains are the organisation's own, and what happens to everybody else.

    subdomains:         every domain of this section stands for the domains below it as well
    domains, groups:    rules beside `policy`; of those that apply to somebody's membership, the strictest decides
    blocked_domains:    nobody of these, whatever the rules say
    protected_domains:  whoever stands upstream with an address of these is never taken out nor deactivated
    withdrawal:         what happens to external users upstream whom the policy does not want there any more
    changed_address:    what happens when the address of an external user changes and the service does not take that
    """

    managed_domains: tuple[Domain, ...] = Field(min_length=1)
    subdomains: bool = False
    policy: Policy = Policy.PROVISION
    domains: dict[Domain, Policy] = Field(default={})
    groups: dict[str, Policy] = Field(default={})
    blocked_domains: tuple[Domain, ...] = ()
    protected_domains: tuple[Domain, ...] = ()
    withdrawal: Literal["deactivate", "leave"] = "deactivate"
    changed_address: Literal["keep", "replace"] = "keep"

    @field_validator("domains", mode="before")
    @classmethod
    def _each_domain_once(cls, value: object) -> object:
        written = [_folded(domain) for domain in value] if isinstance(value, dict) else []
        if twice := sorted(domain for domain in set(written) if written.count(domain) > 1):
            raise ValueError(f'"{twice[0]}" is written twice; keep one of the rules')
        return value

    @model_validator(mode="after")
    def _without_contradiction(self) -> ExternalSettings:
        for what, others in (("blocked_domains", self.blocked_domains), ("domains", self.domains)):
            if both := sorted(set(self.managed_domains) & set(others)):
                raise ValueError(f'"{both[0]}" is in managed_domains and in {what}; take it out of one of them')
        for managed in self.managed_domains if self.subdomains else ():
            for domain in self.domains:
                if domain.endswith(f".{managed}"):
                    raise ValueError(
                        f'"{domain}" is below "{managed}" of managed_domains, and domains has rules for external users '
                        "only; take one of them out, or set subdomains = false"
                    )
            for domain in self.blocked_domains:
                if managed.endswith(f".{domain}"):
                    raise ValueError(
                        f'"{domain}" of blocked_domains stands for "{managed}" of managed_domains, too; take one of '
                        "them out, or set subdomains = false"
                    )
        if both := sorted(set(self.protected_domains) & set(self.blocked_domains)):
            raise ValueError(f'"{both[0]}" is in protected_domains and in blocked_domains; take it out of one of them')
        return self


# mail everywhere; in Active Directory, where many have none, the logon name or else the primary of proxyAddresses.
ADDRESS = "{mail, userPrincipalName, primaryProxyAddress}"


class MappingSettings(Section):
    """[mapping]: what is sent, as templates over directory attributes (agent/population/template.py).

    `user` adds to the defaults name.givenName, name.familyName and displayName; an empty text takes one away.
    """

    email: str = ADDRESS
    user_name: str = ADDRESS
    group_name: str = "{cn}"
    user: dict[str, str] = Field(default={})


class SamePersonSettings(Section):
    """[same_person]: when entries of several sources are one person (agent/population/same_person.py).

    `by` are templates; an empty list turns it off. `attributes`: attribute type → the source that wins for it.
    """

    by: tuple[str, ...] = ()
    precedence: tuple[str, ...] = ()
    attributes: dict[str, str] = Field(default={})

    @field_validator("attributes")
    @classmethod
    def _without_case(cls, value: dict[str, str]) -> dict[str, str]:
        return {attribute.lower(): source for attribute, source in value.items()}


class GroupGuardSettings(Section):
    """[guard.group]: limits for the groups that a DN or a pattern names. What is left out is as for all groups."""

    members: Whole | None = Field(default=None, ge=0)
    members_share: Share | None = None
    members_from: Whole | None = Field(default=None, ge=0)
    may_become_empty: bool | None = None


class GuardSettings(Section):
    """[guard]: how much may be taken away. More than *both* the number and the share stops the removals.

    daily:      how much of each limit comes back within a day after it was used; so small steps add up
    group:      limits of single groups, by DN or "name:" and a pattern; the first that names a group decides
    protected:  who is never deactivated nor taken out of a group: users by DN or "mail:" and a pattern on the address
                or user name, and whole groups, from which nobody is taken, by DN or "name:" and a pattern
    """

    users: Whole = Field(default=10, ge=0)
    users_share: Share = 0.05
    groups: Whole = Field(default=3, ge=0)
    groups_share: Share = 0.10
    members: Whole = Field(default=10, ge=0)
    members_share: Share = 0.20
    members_from: Whole = Field(default=10, ge=0)
    may_become_empty: bool = False
    daily: Share = 0.20
    group: dict[str, GroupGuardSettings] = Field(default={})
    protected: tuple[str, ...] = ()
    approval_valid: Duration = timedelta(hours=24)

    @field_validator("daily")
    @classmethod
    def _comes_back(cls, value: float) -> float:
        if value <= 0:
            raise ValueError("write a share above 0%, or what was used of a limit would never come back")
        return value


class LeaverSettings(Section):
    """[leavers]: what becomes of accounts and groups that are not wanted any more, long after.

    A user is deactivated at once; who returns before `delete_after` is the same account again. Deleted is only what
    Rollcall has created, and never an account that is the person's own.
    """

    delete_after: DurationOrNever = "never"
    delete_external_after: DurationOrNever = "never"
    delete_groups_after: DurationOrNever = "never"


class ScheduleSettings(Section):
    """[schedule]: when the daemon runs a cycle: `every` so often, or by `cron` (five fields, local time)."""

    every: Duration | None = None
    cron: str | None = None
    jitter: Duration | None = None
    full_every: Duration = timedelta(days=7)
    live: bool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> ScheduleSettings:
        if self.every is not None and self.cron is not None:
            raise ValueError("set either every or cron, not both")
        return self

    @property
    def interval(self) -> timedelta:
        """The interval when no cron line is set."""
        return self.every or timedelta(minutes=5)


class AuditSettings(Section):
    """[audit]: the audit trail. A file that has reached `max_size` is put aside, and kept for so long after."""

    max_size: Size = 50_000_000
    keep: DurationOrForEver = timedelta(days=400)


class Settings(BaseSettings):
    """The whole configuration of one connection.

    `sources` holds plain tables here: each is checked by its connector's settings class (agent/plugins.py).
    """

    model_config = SettingsConfigDict(env_prefix="ROLLCALL_", env_nested_delimiter="__", extra="forbid", frozen=True)

    agent: AgentSettings = Field(default_factory=AgentSettings)
    sources: tuple[dict[str, Any], ...] = Field(min_length=1)
    upstream: UpstreamSettings
    scope: ScopeSettings
    external: ExternalSettings
    mapping: MappingSettings = MappingSettings()
    same_person: SamePersonSettings = SamePersonSettings()
    guard: GuardSettings = GuardSettings()
    leavers: LeaverSettings = LeaverSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    audit: AuditSettings = AuditSettings()
    notice: NoticeSettings = NoticeSettings()
    health: HealthSettings = HealthSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file, whose content comes in as the init settings."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings


def load_settings(path: Path) -> Settings:
    """Read and check the configuration file.

    Raises UsageProblem that names the file, the key, what is wrong with the value and what to write instead.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # Notepad begins with a byte order mark
    except FileNotFoundError as error:
        raise UsageProblem(
            f"The configuration file {path} does not exist. {rollcall('init', path)} asks questions and writes it; or "
            "name another with --config, or start from agent.example.toml."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageProblem(
            f"The configuration file {path} cannot be read: {reason}. Correct it or its rights."
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise UsageProblem(f"{path} is not valid TOML: {error}. Correct that line.") from error
    return check_settings(table, path)


def check_settings(table: dict[str, Any], path: Path) -> Settings:
    """Check what stands in the configuration file, or is going to. Raises UsageProblem as load_settings does."""
    try:
        settings = Settings(**_absolute_paths(table, path.absolute().parent))
    except ValidationError as error:
        raise UsageProblem(describe_problems(error, f"{path}", Settings)) from error
    except SettingsError as error:
        raise UsageProblem(describe_environment(error)) from None  # its cause holds the value, which may be a secret
    if "state_dir" not in settings.agent.model_fields_set:
        agent = settings.agent.model_copy(update={"state_dir": state_directory_of(path)})
        settings = settings.model_copy(update={"agent": agent})
    return _with_secrets(settings, path)


def _absolute_paths(table: dict[str, Any], directory: Path) -> dict[str, Any]:
    def is_path(key: str) -> bool:
        return key in {"file", "state_dir"} or key.endswith("_file")

    def convert(key: str, value: object) -> object:
        if isinstance(value, dict):
            return {inner: convert(inner, item) for inner, item in value.items()}
        if isinstance(value, list):
            return [convert("", item) for item in value]
        if is_path(key) and isinstance(value, str) and value:
            return str(directory / Path(value).expanduser())
        return value

    return {key: convert(key, value) for key, value in table.items()}


def _with_secrets(settings: Settings, path: Path) -> Settings:
    upstream = settings.upstream
    where = f"{path}: upstream.token_file"
    token = resolve_secret(upstream.token, upstream.token_file, "upstream.token", where, path)
    if token is None:
        remedy = told_of_encrypted("upstream.token", path) or (
            "Put the bearer token into a file only this account may read, and name it as token_file, or call it "
            f"{credentials_beside(path) / 'upstream.token'}; {rollcall('secret upstream.token', path)} does that."
        )
        raise UsageProblem(f"{path}: upstream: no token is set. {remedy}")
    if not token.get_secret_value().isascii() or any(c.isspace() for c in token.get_secret_value()):
        raise UsageProblem(f"{path}: upstream.token: a bearer token has no spaces and only ASCII characters.")
    return settings.model_copy(
        update={
            "upstream": upstream.model_copy(update={"token": token}),
            "notice": with_notice_secrets(settings.notice, f"{path}: notice", path),
        }
    )
