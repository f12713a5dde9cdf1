"""Tokens of an issuer whose keys are fetched: what proves who calls, what does not, and an issuer that is away."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from deploy.local import ports
from shared.security.roles import Role
from shared.security.tokens import InvalidToken, IssuerUnavailable, TokenSettings, TokenVerifier

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
KEYS = {
    "keys": [
        {**RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True), "kid": "rsa", "use": "sig", "alg": "RS256"},
        {**ECAlgorithm.to_jwk(EC_KEY.public_key(), as_dict=True), "kid": "ec", "use": "sig", "alg": "ES256"},
    ]
}
ISSUER = "https://issuer.example"


@pytest.fixture(scope="module")
def keys_url() -> Iterator[str]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(KEYS).encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/keys"
    server.shutdown()
    thread.join()
    server.server_close()


def verifier(url: str) -> TokenVerifier:
    return TokenVerifier(TokenSettings(office="east-midlands", audience="quality-cycle", issuer=ISSUER, jwks_url=url))


def token(key: Any, algorithm: str, kid: str, **changes: Any) -> str:
    claims = {
        "sub": "quality-officer-1",
        "roles": ["quality_officer", "of-another-system", 7],
        "office": "east-midlands",
        "aud": "quality-cycle",
        "iss": ISSUER,
        "exp": datetime.now(UTC) + timedelta(hours=1),
        **changes,
    }
    given = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(given, key, algorithm=algorithm, headers={"kid": kid})


@pytest.mark.parametrize(("key", "algorithm", "kid"), [(RSA_KEY, "RS256", "rsa"), (EC_KEY, "ES256", "ec")])
def test_a_token_signed_by_the_issuer_tells_who_calls(keys_url: str, key: Any, algorithm: str, kid: str) -> None:
    caller = verifier(keys_url).verify(token(key, algorithm, kid))
    assert (caller.subject, caller.roles) == ("quality-officer-1", {Role.QUALITY_OFFICER})


@pytest.mark.parametrize(("key", "algorithm", "kid"), [(RSA_KEY, "RS256", "ec"), (EC_KEY, "ES256", "rsa")])
def test_a_token_that_names_a_key_of_another_kind_is_refused(keys_url: str, key: Any, algorithm: str, kid: str) -> None:
    with pytest.raises(InvalidToken):
        verifier(keys_url).verify(token(key, algorithm, kid))


def test_a_token_signed_with_what_everybody_may_read_is_refused(keys_url: str) -> None:
    with pytest.raises(InvalidToken):
        verifier(keys_url).verify(token(KEYS["keys"][0]["n"], "HS256", "rsa"))
    with pytest.raises(InvalidToken):
        verifier(keys_url).verify(token(None, "none", "rsa"))


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": datetime(2020, 1, 1, tzinfo=UTC)},
        {"exp": None},
        {"exp": float("inf")},
        {"exp": "tomorrow"},
        {"nbf": datetime(2100, 1, 1, tzinfo=UTC)},
        {"aud": "another-system"},
        {"iss": "https://another.example"},
        {"office": "north-west"},
        {"office": None},
        {"sub": None},
        {"sub": "Perpetua Quillfeather"},
        {"roles": "quality_officer"},
        {"roles": None},
    ],
)
def test_a_token_that_is_not_for_this_office_and_time_is_refused(keys_url: str, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken):
        verifier(keys_url).verify(token(RSA_KEY, "RS256", "rsa", **changes))


def test_an_issuer_that_is_away_is_not_the_tokens_fault() -> None:
    (port,) = ports.free_ports(1)
    with pytest.raises(IssuerUnavailable):
        verifier(f"http://127.0.0.1:{port}/keys").verify(token(RSA_KEY, "RS256", "rsa"))
