"""A real mail server for tests, which can refuse, put off, be slow, go down and come back."""

import asyncio
import email.policy
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from deploy.local import ports


@dataclass
class Mail:
    """A message the server took."""

    to: str
    message: EmailMessage

    @property
    def id(self) -> str:
        return str(self.message["Message-ID"])

    @property
    def subject(self) -> str:
        return str(self.message["Subject"])

    @property
    def text(self) -> str:
        return str(self.message.get_content())


@dataclass
class MailServer:
    """Answers in a thread of its own. ``recipient_answers`` and ``data_answer`` are what it says instead of yes."""

    host: str = ports.LOOPBACK
    port: int = field(default_factory=lambda: ports.free_ports(1)[0])
    #: Answer to RCPT, by address, such as ``550 No such mailbox``.
    recipient_answers: dict[str, str] = field(default_factory=dict)
    #: Answer to MAIL, if it is not yes.
    sender_answer: str | None = None
    #: Answer to every message, if it is not yes.
    data_answer: str | None = None
    #: Called, in the server's thread, when a message was kept and before the sender is told.
    on_kept: Callable[[], None] | None = None
    #: How long it thinks about every message, in seconds.
    slowness_s: float = 0
    mails: list[Mail] = field(default_factory=list)
    connections: int = 0
    _controller: Controller | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        self._controller = Controller(self, hostname=self.host, port=self.port)
        self._controller.start()

    def stop(self) -> None:
        """Go down: the open connections break too."""
        if self._controller is not None:
            self._controller.stop(no_assert=True)
            self._controller = None

    def to(self, address: str) -> list[Mail]:
        return [mail for mail in self.mails if mail.to == address]

    # Called by aiosmtpd

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.sender_answer is None:
            envelope.mail_from = address
        return self.sender_answer or "250 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if answer := self.recipient_answers.get(address):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        await asyncio.sleep(self.slowness_s)
        if self.data_answer is not None:
            return self.data_answer
        assert isinstance(envelope.content, bytes)
        message = BytesParser(_class=EmailMessage, policy=email.policy.default).parsebytes(envelope.content)
        with self._lock:
            self.mails += [Mail(address, message) for address in envelope.rcpt_tos]
        if self.on_kept is not None:
            self.on_kept()
        return "250 Kept"
