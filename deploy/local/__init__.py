"""The one-machine runtime: embedded PostgreSQL, a Kafka broker, a mail sink and the four services."""
