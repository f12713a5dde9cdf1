"""Whether a service on this machine is ready."""

from __future__ import annotations

import http.client
import json

from deploy.local import ports


def not_ready(port: int) -> str | None:
    """What keeps the service on `port` from being ready, for people; None if it is ready."""
    connection = http.client.HTTPConnection(ports.LOOPBACK, port, timeout=3)
    try:
        connection.request("GET", "/health/ready")
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException):
        return "it does not answer"
    finally:
        connection.close()
    if response.status == http.HTTPStatus.OK:
        return None
    try:
        checks = json.loads(body)["checks"]
        return ", ".join(f"{name}: {value}" for name, value in checks.items())
    except (ValueError, KeyError, AttributeError, TypeError):
        return f"it answers {response.status}"
