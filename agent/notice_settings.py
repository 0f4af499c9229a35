"""[notice]: who is told of trouble, by webhook or by e-mail, and from when on something is trouble."""

from __future__ import annotations

import re
from datetime import date, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from agent.domain_names import is_loopback
from agent.errors import UsageProblem
from agent.settings_secrets import resolve_secret, told_of_encrypted
from agent.settings_values import Duration, Section, Whole
from connectors.files import why_no_file

# Loose: who an address belongs to is the mail server's to say; but nothing of it may end a header or a command.
_ADDRESS = re.compile(r"[^\s@<>\"(),;:\\]{1,64}@[^\s@<>\"(),;:\\]{1,255}")
_HOST = re.compile(r"[A-Za-z0-9._:-]{1,255}", re.ASCII)
_PORTS = {"starttls": 587, "tls": 465, "none": 25}


def _address(value: str) -> str:
    if not _ADDRESS.fullmatch(value) or not value.isprintable():
        raise ValueError(f'"{value}" is no e-mail address; write it alone, like "operations@corp.example"')
    return value


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _is_address(value: str) -> bool:
    try:
        ip_address(value)
    except ValueError:
        return False
    return True


def _host(value: str) -> str:
    if not _HOST.fullmatch(value) or (":" in value and not _is_address(value)):
        raise ValueError("write the name or the address of the mail server, without a port")
    return value


Address = Annotated[str, AfterValidator(_address)]


class NoticeSettings(Section):
    """[notice]. Without `webhook_url` and `smtp_host` nobody is told.

    webhook_body:      "text" for services that refuse a body with more in it than the text
    stale_after:       a source that has not been read completely for so long is trouble
    rejected_over:     more rejected objects than that are, until there are no more than half as many
    token_expires_at:  when the upstream's token does, where that is not in the token itself
    token_warning:     how long before somebody is told
    """

    webhook_url: SecretStr | None = None
    webhook_url_file: Path | None = None
    webhook_body: Literal["all", "text"] = "all"
    smtp_host: Annotated[str, AfterValidator(_host)] | None = None
    smtp_port: Whole = Field(default=587, ge=1, le=65_535)
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    smtp_password_file: Path | None = None
    sender: Address | None = Field(default=None, alias="from")
    to: Annotated[tuple[Address, ...], BeforeValidator(_listed)] = ()
    ca_file: Path | None = None
    stale_after: Duration = timedelta(hours=1)
    rejected_over: Whole = Field(default=10, ge=0)
    token_expires_at: date | None = None
    token_warning: Duration = timedelta(days=14)

    @model_validator(mode="after")
    def _can_be_sent(self) -> NoticeSettings:
        if self.smtp_host is None:
            for key, value in (("to", self.to), ("from", self.sender)):
                if value:
                    raise ValueError(f"{key} is set, and smtp_host is not: no mail would be sent. Set it as well")
            return self
        if self.sender is None or not self.to:
            raise ValueError("smtp_host is set: say also from and to, like from = … and to = [ … ]")
        if self.smtp_security == "none" and not is_loopback(self.smtp_host):
            raise ValueError('smtp_security = "none" is for a mail server on this machine only; write "starttls"')
        return self

    @property
    def port(self) -> int:
        """The port of the mail server; without a setting the usual one."""
        return self.smtp_port if "smtp_port" in self.model_fields_set else _PORTS[self.smtp_security]


def with_notice_secrets(notice: NoticeSettings, where: str, configuration: Path) -> NoticeSettings:
    """Return the settings with their secrets, wherever those are kept. Raises UsageProblem, without them."""
    url = resolve_secret(
        notice.webhook_url, notice.webhook_url_file, "notice.webhook_url", f"{where}.webhook_url_file", configuration
    )
    if url is not None:
        _check_webhook(url.get_secret_value(), where)
    password = None
    if notice.smtp_user is not None:
        password = resolve_secret(
            notice.smtp_password, notice.smtp_password_file, "notice.smtp_password", f"{where}.smtp_password_file",
            configuration,
        )  # fmt: skip
        if password is None:
            remedy = told_of_encrypted("notice.smtp_password", configuration) or (
                "Put it into a file only this account may read and name it as smtp_password_file."
            )
            raise UsageProblem(f"{where}: smtp_user is set, and no password. {remedy}")
    if notice.ca_file is not None and (why := why_no_file(notice.ca_file)):
        raise UsageProblem(f"{where}.ca_file: the file {notice.ca_file} {why}. Correct the path or the rights.")
    return notice.model_copy(update={"webhook_url": url, "smtp_password": password})


def _check_webhook(url: str, where: str) -> None:
    """Refuse an address that cannot be posted to, or would be in the clear. It may be a secret: it is not shown."""
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        usable = False
    if not usable or not url.isascii() or not url.isprintable() or " " in url:
        raise UsageProblem(f"{where}.webhook_url: that is not an address. Write it as the service shows it: https://….")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        raise UsageProblem(f"{where}.webhook_url: it would be posted to unencrypted. Write https://.")
