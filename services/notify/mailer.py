"""The mail server: one connection, kept open from message to message, and what its answers mean.

No error here repeats what the server said: it tends to quote the recipient's address.
"""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import datetime
from email.charset import QP, Charset
from email.header import Header
from email.message import Message
from email.policy import compat32
from email.utils import format_datetime, formataddr
from uuid import UUID

import aiosmtplib

from services.notify.templating import Letter
from shared.contracts.notifications import FailureCode

#: After so many seconds without a message the connection is tried before it is used: the server may have gone.
_FRESH_S = 1.0

#: After so many seconds without a message the connection is closed: servers have few.
_IDLE_S = 30.0

#: The client library gives an answer that is none of SMTP a code below this.
_LOWEST_CODE = 200
_SERVICE_NOT_AVAILABLE = 421
_TOO_LARGE = 552
#: Answers to RCPT that tell of our log-in or our manners, not of the recipient.
_NOT_THE_RECIPIENT = frozenset({503, 530, 535, 538})

#: Lines end as SMTP has it.
_WIRE = compat32.clone(linesep="\r\n")

#: Text as quoted-printable: the library's own choice for UTF-8 is base64, which nobody can read on the wire.
_QUOTED = Charset("utf-8")
_QUOTED.body_encoding = QP

#: A longer word would not fit into a line beside the header's name.
_WORD = 60


class MailServerUnavailable(Exception):
    """The mail server takes no message at all just now: it is down, does not know us or refuses our sender."""

    def __init__(self, code: str) -> None:
        super().__init__(f"the mail server takes no message: {code}")
        self.code = code


class Deferred(Exception):
    """The mail server asks to try this message again later."""

    def __init__(self, code: str) -> None:
        super().__init__(f"the mail server put the message off: {code}")
        self.code = code


class Refused(Exception):
    """The mail server will never take this message."""

    def __init__(self, failure: FailureCode, code: str) -> None:
        super().__init__(f"the mail server refused the message: {failure.value}, {code}")
        self.failure = failure
        self.code = code


@dataclass(frozen=True, slots=True)
class MailServer:
    """How the mail server is reached."""

    host: str
    port: int
    #: Address messages come from.
    sender: str
    username: str | None
    password: str | None = field(repr=False)
    starttls: bool
    #: Longest one connection, or one message, may take, in seconds.
    timeout_s: float

    @property
    def domain(self) -> str:
        """The sender's domain: how we greet, and the right-hand side of a Message-ID."""
        return self.sender.rpartition("@")[2]


def write(
    letter: Letter, *, delivery_id: UUID, event_id: UUID, server: MailServer, recipient: str, now: datetime
) -> bytes:
    """A message as it is sent. The same delivery has the same Message-ID, so that a mailbox can drop a repeat.

    Made by the library's older model of a message: the newer one parses every header it is given, which takes a
    millisecond of the event loop for each.

    Raises ValueError for a header that would not stay one line.
    """
    message = Message(policy=_WIRE)
    message["From"] = formataddr(("Quality cycle", server.sender))
    message["To"] = recipient
    charset = "us-ascii" if _folds(letter.subject) else "utf-8"
    subject = Header(letter.subject, charset, header_name="Subject")
    message["Subject"] = subject  # pyright: ignore[reportArgumentType] the stubs know strings alone
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{delivery_id}@{server.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Quality-Event"] = str(event_id)
    for name, value in message.items():
        if not str(value).isprintable() or not (name == "Subject" or str(value).isascii()):
            raise ValueError(f"the header {name} would not be one line of ASCII")
    message.set_payload(letter.body, _QUOTED)
    return message.as_bytes()


def _folds(subject: str) -> bool:
    """True if a subject can be folded as it is, and is not taken for an encoded one."""
    return subject.isascii() and "=?" not in subject and all(len(word) <= _WORD for word in subject.split())


class Mailer:
    """Hands messages to the mail server, one after the other."""

    def __init__(self, server: MailServer) -> None:
        self.server = server
        self._client: aiosmtplib.SMTP | None = None
        self._used_at = 0.0

    @property
    def is_fresh(self) -> bool:
        """True if the server answered a moment ago on the connection that is open."""
        return self._client is not None and self._client.is_connected and self._idle_s < _FRESH_S

    async def reach(self) -> None:
        """Have a connection on which the server answers. Raises MailServerUnavailable."""
        if self._client is not None:
            try:
                async with asyncio.timeout(self.server.timeout_s):
                    await self._client.noop()
            except (aiosmtplib.SMTPException, OSError):
                self._drop()
        if self._client is None:
            await self._connect()
        self._used_at = time.monotonic()

    async def send(self, recipient: str, content: bytes) -> None:
        """Hand a message over; the server has it once this returns.

        Raises Refused, Deferred or MailServerUnavailable; after the last the message may yet have arrived, if the
        connection broke while the server answered.
        """
        assert self._client is not None, "reach() comes first"
        client = self._client
        try:
            async with asyncio.timeout(self.server.timeout_s):
                await client.mail(self.server.sender)
                await client.rcpt(recipient)
                await client.data(content)
        except aiosmtplib.SMTPResponseException as error:
            verdict = _verdict(error)
            if isinstance(verdict, MailServerUnavailable):
                self._drop()
            else:
                await self._reset()
            raise verdict from None
        except (aiosmtplib.SMTPException, OSError) as error:
            self._drop()
            raise MailServerUnavailable(_name(error)) from None
        except asyncio.CancelledError:
            self._drop()
            raise
        self._used_at = time.monotonic()

    async def rest(self) -> None:
        """Close the connection if it was long unused."""
        if self._client is not None and self._idle_s > _IDLE_S:
            await self.close()

    async def close(self) -> None:
        """Take leave of the server."""
        if self._client is None:
            return
        try:
            async with asyncio.timeout(1):
                await self._client.quit()
        except (aiosmtplib.SMTPException, OSError):
            # The server has every message it answered for; how the connection ends makes no difference.
            pass
        finally:
            self._drop()

    @property
    def _idle_s(self) -> float:
        return time.monotonic() - self._used_at

    async def _connect(self) -> None:
        server = self.server
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            start_tls=server.starttls,
            timeout=server.timeout_s,
            local_hostname=server.domain,
        )
        try:
            async with asyncio.timeout(server.timeout_s):
                await client.connect()
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            client.close()
            raise MailServerUnavailable(_name(error)) from None
        except asyncio.CancelledError:
            client.close()
            raise
        self._client = client

    async def _reset(self) -> None:
        assert self._client is not None
        try:
            async with asyncio.timeout(self.server.timeout_s):
                await self._client.rset()
            self._used_at = time.monotonic()
        except (aiosmtplib.SMTPException, OSError):
            self._drop()

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def _verdict(error: aiosmtplib.SMTPResponseException) -> MailServerUnavailable | Deferred | Refused:
    code = _answer(error)
    if error.code == _SERVICE_NOT_AVAILABLE or error.code < _LOWEST_CODE:
        return MailServerUnavailable(code)
    is_final = error.code >= 500
    match error:
        case aiosmtplib.SMTPRecipientRefused() if error.code in _NOT_THE_RECIPIENT:
            return MailServerUnavailable(code)
        case aiosmtplib.SMTPRecipientRefused():
            return Refused(FailureCode.RECIPIENT_REFUSED, code) if is_final else Deferred(code)
        case aiosmtplib.SMTPDataError():
            return Refused(FailureCode.MESSAGE_REFUSED, code) if is_final else Deferred(code)
        case aiosmtplib.SMTPSenderRefused() if error.code == _TOO_LARGE:
            return Refused(FailureCode.MESSAGE_REFUSED, code)
        case _:
            # Our sender, greeting or log-in was refused: so would be every message, and none of them is at fault.
            return MailServerUnavailable(code)


def _answer(error: aiosmtplib.SMTPResponseException) -> str:
    return f"smtp_{error.code}" if error.code >= _LOWEST_CODE else "unreadable_answer"


def _name(error: Exception) -> str:
    """A code for what broke, without anything the server said."""
    match error:
        case aiosmtplib.SMTPAuthenticationError():
            return "login_refused"
        case aiosmtplib.SMTPResponseException():
            return _answer(error)
        case TimeoutError():
            return "timeout"
        case aiosmtplib.SMTPNotSupported():
            return "not_supported"
        case aiosmtplib.SMTPConnectError():
            return "connection_failed"
        case _:
            return "connection_lost"
