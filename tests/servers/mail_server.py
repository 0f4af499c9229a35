"""A small mail server for the tests, over real SMTP (RFC 5321), with STARTTLS or TLS from the start, and AUTH PLAIN."""

from __future__ import annotations

import base64
import socketserver
import ssl
import threading
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Self

from tests.servers.certificates import certificates

USER, PASSWORD = "rollcall", "m4il-Viviane-903"


@dataclass
class Received:
    sender: str
    recipients: list[str]
    message: EmailMessage
    encrypted: bool
    user: str


class MailServer:
    """Use as a context manager. security: "starttls", "tls" or "none"."""

    def __init__(self, security: str = "none") -> None:
        self.security = security
        self.received: list[Received] = []
        self.answers: dict[str, str] = {}  # instead of its own, by command
        self.commands: list[str] = []
        made = certificates()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(made.certificate, made.key)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        service = self

        class Handler(_Handler):
            mail = service

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, *_what: object) -> None:
        """A client that does not like the certificate is part of the tests."""


class _Handler(socketserver.BaseRequestHandler):
    mail: MailServer

    def handle(self) -> None:
        self.encrypted, self.user = False, ""
        self.sender, self.recipients = "", []
        if self.mail.security == "tls":
            self._encrypt()
        self.stream = self.request.makefile("rb")
        try:
            self._talk()
        finally:
            self.stream.close()
            self.request.close()  # that of the encryption, which socketserver does not know

    def _talk(self) -> None:
        self._say("220 mail.test ready")
        while line := self.stream.readline():
            text = line.decode().strip()
            command = text.split(" ", 1)[0].upper()
            self.mail.commands.append(command)
            if command in self.mail.answers:
                self._say(self.mail.answers[command])
            elif not self._obey(command, text):
                return

    def _obey(self, command: str, text: str) -> bool:
        match command:
            case "EHLO":
                offers = ["mail.test", "8BITMIME"]
                if self.mail.security == "starttls" and not self.encrypted:
                    offers.append("STARTTLS")
                if self.encrypted:
                    offers.append("AUTH PLAIN")
                self._say("\r\n".join([*(f"250-{offer}" for offer in offers[:-1]), f"250 {offers[-1]}"]))
            case "STARTTLS":
                self._say("220 go ahead")
                self.stream.close()
                self._encrypt()
                self.stream = self.request.makefile("rb")
            case "AUTH":
                _, user, password = base64.b64decode(text.split(" ")[2]).decode().split("\0")
                right = (user, password) == (USER, PASSWORD)
                self.user = user if right else ""
                self._say("235 welcome" if right else f"535 {password} is not the password of {user}: {text}")
            case "MAIL":
                self.sender, self.recipients = text.partition("<")[2].partition(">")[0], []
                self._say("250 ok")
            case "RCPT":
                self.recipients.append(text.partition("<")[2].partition(">")[0])
                self._say("250 ok")
            case "DATA":
                self._data()
            case "QUIT":
                self._say("221 bye")
                return False
            case _:
                self._say("250 ok")
        return True

    def _data(self) -> None:
        self._say("354 go on")
        lines = []
        while (line := self.stream.readline()) not in {b".\r\n", b""}:
            lines.append(line.removeprefix(b"."))
        message = message_from_bytes(b"".join(lines), policy=policy.default)
        self.mail.received.append(Received(self.sender, self.recipients, message, self.encrypted, self.user))
        self._say("250 taken")

    def _encrypt(self) -> None:
        self.request = self.mail.context.wrap_socket(self.request, server_side=True)
        self.encrypted = True

    def _say(self, text: str) -> None:
        self.request.sendall(text.encode() + b"\r\n")
