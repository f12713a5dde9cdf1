"""What every test can ask for; the fixtures themselves live in `tests/fixtures`."""

from hypothesis import settings

pytest_plugins = ["tests.fixtures.infrastructure", "tests.fixtures.services", "tests.fixtures.commands"]

# How long one example takes says nothing here: the tests share the machine with servers and with each other.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")
