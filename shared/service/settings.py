"""Settings of a service, read once from environment variables that begin with ``QC_``."""

import socket
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, StringConstraints, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.messaging.broker import KafkaSettings
from shared.messaging.consuming.parking import RetryPolicy
from shared.security.tokens import LOCAL_ISSUER, TokenSettings


class ServiceSettings(BaseSettings):
    """Settings that every service has. A service with more of its own extends this class."""

    model_config = SettingsConfigDict(env_prefix="QC_", frozen=True)

    database_url: SecretStr = Field(description="PostgreSQL database of this service alone, as a URL.")
    kafka_bootstrap: str = Field(description="Kafka brokers: `host:port`, several separated by commas.")
    kafka_idempotence: bool = Field(
        default=True, description="Idempotent producer. `false` only for the embedded broker, which lacks it."
    )
    kafka_fetch_max_wait_ms: int = Field(
        default=500, ge=1, le=30_000, description="Longest the broker waits with its answer to a fetch, in ms."
    )
    kafka_session_timeout_ms: int = Field(
        default=10_000, ge=1_000, le=300_000, description="Silence after which a member loses its partitions, in ms."
    )
    instance_id: str | None = Field(
        default=None,
        max_length=100,
        description="Name of this replica, the same after a restart: its partitions wait for it (static membership).",
    )
    http_host: str = Field(default="127.0.0.1", description="Address to listen on.")
    http_port: int = Field(ge=1, le=65_535, description="Port to listen on.")
    office: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,60}$")] = Field(
        default="east-midlands", description="This regional office; part of every event's source."
    )
    jwt_secret: SecretStr | None = Field(
        default=None, min_length=32, description="Secret of locally issued tokens (HS256). One machine and tests only."
    )
    jwt_jwks_url: str | None = Field(default=None, description="Keys of the OIDC issuer. Production.")
    jwt_issuer: str = Field(default=LOCAL_ISSUER, description="`iss` every token must have.")
    jwt_audience: str = Field(default="quality-cycle", description="`aud` every token must have.")
    pseudonym_key: SecretStr = Field(
        min_length=32, description="Key by which staff ids become pseudonyms in events; the same in all services."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="Lowest level logged.")
    batch_size: int = Field(default=1_000, ge=1, le=5_000, description="Most records applied in one transaction.")
    parking_attempts: int = Field(
        default=10,
        ge=1,
        le=1_000,
        description="Attempts at an event that cannot be applied before it is a dead letter.",
    )
    parking_first_pause_s: float = Field(
        default=1.0, gt=0, le=3_600, description="Pause after the first of these attempts, in seconds; then it doubles."
    )
    parking_longest_pause_s: float = Field(
        default=300.0, gt=0, le=86_400, description="Longest pause between two of these attempts, in seconds."
    )
    outbox_retention_days: int = Field(
        default=14, ge=1, le=3_650, description="How long sent events are kept for republishing, in days."
    )

    upload_max_mb: int = Field(
        default=512, ge=8, le=100_000, description="Largest file that may be sent, in MB; it is kept on disk meanwhile."
    )

    @model_validator(mode="after")
    def _one_way_to_check_tokens(self) -> Self:
        if (self.jwt_secret is None) == (self.jwt_jwks_url is None):
            raise ValueError("set exactly one of QC_JWT_SECRET (one machine) and QC_JWT_JWKS_URL (production)")
        return self

    def kafka(self, service: str) -> KafkaSettings:
        """How this service reaches Kafka."""
        return KafkaSettings(
            bootstrap=self.kafka_bootstrap,
            client_id=f"{self.office}.{service}.{self.instance_id or socket.gethostname()}",
            idempotence=self.kafka_idempotence,
            fetch_max_wait_ms=self.kafka_fetch_max_wait_ms,
            session_timeout_ms=self.kafka_session_timeout_ms,
        )

    def tokens(self) -> TokenSettings:
        """How this service checks tokens."""
        return TokenSettings(
            office=self.office,
            audience=self.jwt_audience,
            issuer=self.jwt_issuer,
            secret=self.jwt_secret.get_secret_value() if self.jwt_secret else None,
            jwks_url=self.jwt_jwks_url,
        )

    @property
    def retry_policy(self) -> RetryPolicy:
        """How often a parked event is tried, and how long the pauses are."""
        return RetryPolicy(
            attempts=self.parking_attempts,
            first=timedelta(seconds=self.parking_first_pause_s),
            longest=timedelta(seconds=self.parking_longest_pause_s),
        )

    @property
    def outbox_retention(self) -> timedelta:
        """How long sent events are kept."""
        return timedelta(days=self.outbox_retention_days)
