"""`terag up` before it starts anything."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.settings import Settings, load_settings
from terag_pipelines.cli import services
from terag_pipelines.errors import ConfigurationError
from tests.unit.cli.consoles import listening_console


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("variable", ["TERAG_API_PORT", "TERAG_DAGSTER_PORT"])
def test_a_port_that_another_uses_is_named_before_anything_starts(
    variable: str, taken_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERAG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(variable, str(taken_port))
    console, _ = listening_console()
    with pytest.raises(ConfigurationError, match=rf"{taken_port}.*{variable}"):
        services.start_services(detach=True, console=console)
    assert not (tmp_path / "home" / "stores").exists()


def settings_with(tmp_path: Path, host: str) -> Settings:
    return load_settings({}, home=tmp_path, api_host=host)


def test_dagster_stays_on_this_machine_wherever_the_api_listens(tmp_path: Path) -> None:
    """It has no login."""
    command = services._commands(settings_with(tmp_path, "0.0.0.0"))["dagster-webserver"]  # noqa: S104
    assert command[command.index("--host") + 1] == "127.0.0.1"


def test_an_address_of_ip6_is_written_as_one(tmp_path: Path) -> None:
    assert services._api_address(settings_with(tmp_path, "::1")) == "http://[::1]:8080"


def test_the_first_key_is_told_once_even_where_the_pepper_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "new_key", lambda *_: "terag_key")
    settings = settings_with(tmp_path / "new home", "127.0.0.1")
    assert [services._first_key(settings) for _ in range(2)] == ["terag_key", None]
