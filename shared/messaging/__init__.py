"""Delivery in order, once, and nothing missing: outbox and relay on one side, the inbox on the other."""
