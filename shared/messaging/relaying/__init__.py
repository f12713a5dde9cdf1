"""What a service gives out: from the outbox to the topics, in order, and again after a loss."""
