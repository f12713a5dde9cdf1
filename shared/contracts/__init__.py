"""All that crosses a service boundary: the envelope, the event models and their registry."""
