"""Settings: what is given arrives, what is wrong is named, and no value of it is shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from resources.settings import Settings, known_variables, load_settings, variable_of
from terag_pipelines.errors import ConfigurationError


def test_everything_has_a_default_and_paths_are_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    assert settings.home == tmp_path / ".terag"
    assert settings.cache_folder == tmp_path / ".terag" / "cache"
    assert settings.neo4j_uri is None
    assert settings.mongo_uri is None
    monkeypatch.chdir("/")
    assert settings.home == tmp_path / ".terag"


def test_the_environment_is_read_and_an_argument_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERAG_API_PORT", "9001")
    monkeypatch.setenv("TERAG_HOME", str(tmp_path / "one"))
    monkeypatch.setenv("TERAG_LOG_LEVEL", "debug")
    settings = load_settings(home=tmp_path / "two", source=None)
    assert (settings.api_port, settings.home, settings.log_level) == (9001, tmp_path / "two", "DEBUG")


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERAG_NEO4J_URI", "")
    assert load_settings().neo4j_uri is None


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("TERAG_NEO4J_URL", "TERAG_NEO4J_URI"),
        ("TERAG_MONGO_URL", "TERAG_MONGO_URI"),
        ("TERAG_HOEM", "TERAG_HOME"),
        ("TERAG_NEO4J_HEAP", "TERAG_NEO4J_HEAP_MB"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest_known(
    variable: str, nearest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "something")
    with pytest.raises(ConfigurationError, match=rf"{variable}: did you mean {nearest}\?"):
        load_settings()


def test_a_variable_like_no_other_is_refused_with_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERAG_QQQQQQQQ", "1")
    with pytest.raises(ConfigurationError, match="known are TERAG_HOME, "):
        load_settings()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TERAG_API_PORT", "70000"),
        ("TERAG_API_PORT", "secret-and-not-a-port"),
        ("TERAG_NEO4J_URI", "localhost:7687"),
        ("TERAG_NEO4J_URI", "bolt://user:secret-word@host:7687"),
        ("TERAG_MONGO_URI", "https://user:secret-word@host"),
        ("TERAG_MAVEN_URL", "not-an-address"),
        ("TERAG_KEEP_BATCHES", "0"),
        ("TERAG_LOG_LEVEL", "LOUD"),
        ("TERAG_API_KEY_PEPPER", "tiny"),
        ("TERAG_MONGO_DATABASE", "a/b"),
    ],
)
def test_a_malformed_value_names_the_variable_and_not_the_value(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert variable in str(caught.value)
    assert value not in str(caught.value)
    assert "secret-" not in str(caught.value)


def test_all_that_is_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERAG_API_PORT", "0")
    monkeypatch.setenv("TERAG_KEEP_BATCHES", "-1")
    with pytest.raises(ConfigurationError, match=r"TERAG_API_PORT.*TERAG_KEEP_BATCHES"):
        load_settings()


def test_settings_that_contradict_each_other_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERAG_NEO4J_PASSWORD", "something")
    with pytest.raises(ConfigurationError, match="TERAG_NEO4J_URI is not"):
        load_settings()
    monkeypatch.delenv("TERAG_NEO4J_PASSWORD")
    monkeypatch.setenv("TERAG_TELEGRAM_TOKEN", "123:abc")
    with pytest.raises(ConfigurationError, match="TERAG_TELEGRAM_CHAT_ID"):
        load_settings()


@pytest.mark.parametrize(
    ("variable", "value", "why"),
    [
        ("TERAG_TELEGRAM_TOKEN", "bot 8123:secret-part", "BotFather"),
        ("TERAG_TELEGRAM_TOKEN", "8123/secret-part", "BotFather"),
        ("TERAG_ALERT_LINK", "https://risk.example/alerts", "{alert_id}"),
        ("TERAG_ALERT_LINK", "https://risk.example/{alert_id}/{name}", "nothing else"),
        ("TERAG_ALERT_LINK", "risk.example/{alert_id}", "starts with"),
        ("TERAG_ALERT_ESCALATION_HOURS", "1, 4", "should be JSON"),
        ("TERAG_ALERT_ESCALATION_HOURS", '{"grave": [1]}', "TERAG_ALERT_ESCALATION_HOURS"),
        ("TERAG_ALERT_ESCALATION_HOURS", '{"high": [0]}', "greater than 0"),
        ("TERAG_ALERT_ESCALATION_HOURS", '{"high": [1e12]}', "less than or equal to 8760"),
        ("TERAG_ALERT_ESCALATION_HOURS", '{"high": [Infinity]}', "less than or equal to 8760"),
        ("TERAG_ALERT_ESCALATION_HOURS", '{"high": [4, 1]}', "ascending"),
        ("TERAG_ALERT_ESCALATION_HOURS", '{"high": [4, 4]}', "none twice"),
        ("TERAG_ALERT_LINK", "https://anna:secret-part@risk.example/{alert_id}", "no password"),
        ("TERAG_TELEGRAM_URL", "https://anna:secret-part@bots.example", "no password"),
        ("TERAG_TELEGRAM_URL", "https://bots.example/?key=secret-part", "after the path"),
        ("TERAG_TELEGRAM_URL", "https://bots.example:99999", "port"),
        ("TERAG_TELEGRAM_PROXY", "http://anna:secret-part@:8080", "host"),
        ("TERAG_TELEGRAM_ESCALATION_CHAT_ID", "-100 \n", "TERAG_TELEGRAM_ESCALATION_CHAT_ID"),
        ("TERAG_ALERT_WEBHOOK_URL", "ftp://secret-part", "starts with"),
        ("TERAG_ALERT_WEBHOOK_URL", "https://inside.example:secret-part/", "port"),
        ("TERAG_ALERT_WEBHOOK_URL", "https://inside.example/secret-part \n", "host"),
        ("TERAG_ALERT_MAIL_TO", "risk@bank.example\n", "mail addresses"),
        ("TERAG_ALERT_MAIL_TO", "risk@bank.example, duty", "mail addresses"),
        ("TERAG_ALERT_MAIL_HOST", "mail.example", "TERAG_ALERT_MAIL_HOST, _FROM and _TO go together"),
    ],
)
def test_settings_of_alerts_that_cannot_be_are_named(
    variable: str, value: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    if variable == "TERAG_TELEGRAM_TOKEN":
        monkeypatch.setenv("TERAG_TELEGRAM_CHAT_ID", "42")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert why in str(caught.value)
    assert "secret-part" not in str(caught.value)


def test_escalations_are_read_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().alert_escalation_hours["critical"] == (1.0, 4.0)
    monkeypatch.setenv("TERAG_ALERT_ESCALATION_HOURS", '{"high": [0.5, 2]}')
    assert load_settings().alert_escalation_hours == {"high": (0.5, 2.0)}


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERAG_NEO4J_URI", "bolt://host:7687")
    for variable in ("TERAG_NEO4J_PASSWORD", "TERAG_API_KEY_PEPPER", "TERAG_TELEGRAM_TOKEN"):
        monkeypatch.setenv(variable, "a-secret-of-some-length")
    monkeypatch.setenv("TERAG_TELEGRAM_CHAT_ID", "42")
    monkeypatch.setenv("TERAG_MONGO_URI", "mongodb://user:a-secret-of-some-length@host/?replicaSet=rs")
    settings = load_settings()
    for shown in (repr(settings), str(settings), settings.model_dump_json()):
        assert "a-secret-of-some-length" not in shown


def test_settings_do_not_change() -> None:
    settings = load_settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.api_port = 1  # type: ignore[misc]


def test_every_setting_says_what_it_is() -> None:
    assert all(known_variables().values())
    assert list(known_variables()) == [variable_of(name) for name in Settings.model_fields]
