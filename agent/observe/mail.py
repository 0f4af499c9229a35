"""Telling by e-mail, over SMTP."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid

import structlog

from agent.notice_settings import NoticeSettings
from agent.observe.message import TIMEOUT, Event, Message, NotDelivered, told, verification

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail server that takes messages for somebody."""

    settings: NoticeSettings
    name: str = "e-mail"

    def send(self, message: Message) -> None:
        """Hand a message to the mail server. Raises NotDelivered."""
        try:
            server = self._connect()
            try:
                self._begin_tls(server)
                self._log_on(server)
                refused = server.send_message(self._mail(message))
                with contextlib.suppress(smtplib.SMTPException, OSError):  # it has the message
                    server.quit()
            finally:
                server.close()
        except smtplib.SMTPRecipientsRefused:
            raise NotDelivered("it refuses every address in [notice] to") from None
        except smtplib.SMTPResponseException as error:
            raise NotDelivered(f"it answered {error.smtp_code}") from None
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise NotDelivered(told(error)) from None
        if refused:
            log.warning("the mail server refuses some addresses of [notice] to", addresses=sorted(refused))

    def _connect(self) -> smtplib.SMTP:
        host, port = self.settings.smtp_host or "", self.settings.port
        # Without a name of ours smtplib asks the DNS for one, which may take long.
        name = socket.gethostname()
        if self.settings.smtp_security == "tls":
            context = self._verification()
            return smtplib.SMTP_SSL(host, port, local_hostname=name, timeout=TIMEOUT, context=context)
        return smtplib.SMTP(host, port, local_hostname=name, timeout=TIMEOUT)

    def _begin_tls(self, server: smtplib.SMTP) -> None:
        if self.settings.smtp_security == "starttls":
            try:
                server.starttls(context=self._verification())
            except smtplib.SMTPNotSupportedError:
                raise NotDelivered("it offers no STARTTLS, and nothing is sent in the clear") from None

    def _log_on(self, server: smtplib.SMTP) -> None:
        if self.settings.smtp_user is None or self.settings.smtp_password is None:
            return
        try:
            server.login(self.settings.smtp_user, self.settings.smtp_password.get_secret_value())
        except smtplib.SMTPNotSupportedError:
            raise NotDelivered("it offers no logon; take smtp_user away if it needs none") from None
        except smtplib.SMTPAuthenticationError as error:
            raise NotDelivered(f"it refuses the user name or the password ({error.smtp_code})") from None

    def _mail(self, message: Message) -> EmailMessage:
        mail, sender = EmailMessage(), self.settings.sender or ""
        subject = f"Rollcall{', over' if message.event is Event.OVER else ''}: {message.headline}"
        mail["Subject"] = "".join(letter if letter.isprintable() else " " for letter in subject)
        mail["From"], mail["To"] = sender, ", ".join(self.settings.to)
        mail["Date"], mail["Message-ID"] = (
            format_datetime(datetime.now(UTC)),
            make_msgid(domain=sender.partition("@")[2]),
        )
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answer from those who are on holiday
        upstream = f"\nupstream: {message.upstream}" if message.upstream else ""
        since = f"\nsince: {message.since:%Y-%m-%d %H:%M} UTC" if message.since else ""
        mail.set_content(f"{message.text}\n{since}{upstream}\n".encode("utf-8", "replace").decode())
        return mail

    def _verification(self) -> ssl.SSLContext:
        return verification(str(self.settings.ca_file) if self.settings.ca_file else None)
