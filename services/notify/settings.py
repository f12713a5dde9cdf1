"""Settings of the notify service: those of every service, and how it reaches the mail server."""

import socket
from typing import Self

from pydantic import Field, SecretStr, model_validator

from services.notify.domain.stakeholders import EmailAddress
from services.notify.mailer import MailServer
from shared.service.settings import ServiceSettings

#: How much longer a delivery is claimed than its sending may take, in seconds: time to save the result.
_LEASE_MARGIN_S = 20.0


class Settings(ServiceSettings):
    """Settings of the notify service."""

    smtp_host: str = Field(min_length=1, max_length=253, description="Mail server that takes our messages.")
    smtp_port: int = Field(default=25, ge=1, le=65_535, description="Its port.")
    smtp_sender: EmailAddress = Field(description="Address messages come from; its domain is in every Message-ID.")
    smtp_username: str | None = Field(default=None, min_length=1, description="Log-in at the mail server, if it asks.")
    smtp_password: SecretStr | None = Field(default=None, min_length=1, description="Password of that log-in.")
    smtp_starttls: bool = Field(
        default=False, description="Encrypt the connection with STARTTLS. Needed where there is a log-in."
    )
    smtp_timeout_s: float = Field(
        default=10, ge=1, le=120, description="Longest one message, or one connection, may take, in seconds."
    )

    @model_validator(mode="after")
    def _log_in_is_whole_and_encrypted(self) -> Self:
        if (self.smtp_username is None) != (self.smtp_password is None):
            raise ValueError("set both QC_SMTP_USERNAME and QC_SMTP_PASSWORD, or neither")
        if self.smtp_username is not None and not self.smtp_starttls:
            raise ValueError("set QC_SMTP_STARTTLS=true: a password is never sent over a connection in the clear")
        return self

    @property
    def claimant(self) -> str:
        """Name under which this process claims deliveries, the same after a restart: it takes its own back at once."""
        return self.instance_id or f"{socket.gethostname()}:{self.http_host}:{self.http_port}"

    @property
    def lease_s(self) -> float:
        """How long a claimed delivery is left alone by other processes, in seconds."""
        return self.smtp_timeout_s + _LEASE_MARGIN_S

    def mail_server(self) -> MailServer:
        """How the mail server is reached."""
        return MailServer(
            host=self.smtp_host,
            port=self.smtp_port,
            sender=self.smtp_sender,
            username=self.smtp_username,
            password=self.smtp_password.get_secret_value() if self.smtp_password else None,
            starttls=self.smtp_starttls,
            timeout_s=self.smtp_timeout_s,
        )
