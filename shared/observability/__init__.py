"""What operations staff see: metrics, logs, trace context and health."""
