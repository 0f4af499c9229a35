"""A small DNS server on loopback, over UDP, that knows the records it is given and counts what it was asked."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from typing import Self

import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset


class DnsServer:
    """Use as a context manager. A record is (name, type, text as in a zone file).

    silent:      it answers nothing
    rcode:       what it says of a name it does not know
    additional:  the addresses of controllers come with their names
    """

    def __init__(
        self,
        *records: tuple[str, str, str],
        silent: bool = False,
        rcode: str = "NXDOMAIN",
        additional: bool = False,
    ) -> None:
        self._records: dict[tuple[str, str], list[str]] = {}
        for name, kind, text in records:
            self._records.setdefault((f"{name.lower()}.", kind), []).append(text)
        self._silent = silent
        self._additional = additional
        self._rcode = dns.rcode.from_text(rcode)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.asked: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            request, client = self._socket.recvfrom(4096)
            if not request:
                return
            query = dns.message.from_wire(request)
            (question,) = query.question
            name, kind = question.name.to_text().lower(), dns.rdatatype.to_text(question.rdtype)
            self.asked[f"{name.rstrip('.')} {kind}"] += 1
            if not self._silent:
                self._socket.sendto(self._answer(query, name, kind).to_wire(), client)

    def _answer(self, query: dns.message.Message, name: str, kind: str) -> dns.message.Message:
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA | dns.flags.AA
        texts = self._records.get((name, kind))
        if texts:
            answer.answer.append(dns.rrset.from_text(query.question[0].name, 60, dns.rdataclass.IN, kind, *texts))
            if kind == "SRV" and self._additional:
                answer.additional += [
                    dns.rrset.from_text(name, 60, dns.rdataclass.IN, kind, *addresses)
                    for (name, kind), addresses in self._records.items()
                    if kind == "A"
                ]
        elif not any(known == name for known, _ in self._records):
            answer.set_rcode(self._rcode)
        return answer
