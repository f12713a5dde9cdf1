"""What every test can ask for; the fixtures themselves live in `tests/fixtures`."""

pytest_plugins = ["tests.fixtures.infrastructure", "tests.fixtures.services"]
