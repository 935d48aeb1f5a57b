"""Every setting of the platform: the only module that reads the environment.

A setting is a variable ``TERAG_<NAME>``; all have a default, so that nothing must be set. An unknown one
is an error that names the nearest known: a misspelt setting that is silently ignored costs more than a stop.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Mapping
from email.utils import getaddresses
from pathlib import Path
from typing import Annotated, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from terag_pipelines.errors import ConfigurationError
from terag_pipelines.rings.escalation import EscalationPolicy

PREFIX = "TERAG_"

NEO4J_SCHEMES = ("bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc")
MONGO_SCHEMES = ("mongodb", "mongodb+srv")
HTTP_SCHEMES = ("http", "https")
Neo4jRelease = Literal["2026.08.1", "5.26.30"]
"""The releases whose jars are locked in this package, newest first; the second is the long-term one."""
NEO4J_RELEASES: tuple[str, ...] = get_args(Neo4jRelease)


def _absolute(path: Path) -> Path:
    """The path as seen from where the program was started; ``~`` is the user's home."""
    return path.expanduser().absolute()


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
Port = Annotated[int, Field(ge=1, le=65535)]
Severity = Literal["low", "medium", "high", "critical"]
ChatId = Annotated[str, Field(pattern=r"^(-?[0-9]+|@[A-Za-z0-9_]+)$")]
"""A number, or the name of a public chat with its @."""
EscalationHours = Annotated[float, Field(gt=0, le=8760)]


class Settings(BaseSettings):
    """All settings, read from the environment where not given as arguments; frozen.

    Sizes are in MB (2**20 bytes). Paths are absolute; a relative one is taken from the current
    directory at load.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        validate_default=True,
        hide_input_in_errors=True,
    )

    home: AbsolutePath = Field(Path(".terag"), description="where everything the platform makes is kept")
    source: AbsolutePath | None = Field(None, description="source folder; without one, the demo bank is made")
    source_root: AbsolutePath | None = Field(
        None, description="where the source's files are, if not as its manifest says"
    )
    cache: AbsolutePath | None = Field(
        None, description="Neo4j's jars and its start-up cache; default <home>/cache"
    )

    neo4j_uri: str | None = Field(
        None, description="Bolt address of a Neo4j server; without it one is started"
    )
    neo4j_user: str = Field("neo4j", min_length=1, description="user of that server")
    neo4j_password: SecretStr | None = Field(None, description="password of that server")
    neo4j_database: str = Field("neo4j", min_length=1, description="database in that server")
    neo4j_release: Neo4jRelease = Field("2026.08.1", description="release of the embedded Neo4j")
    neo4j_jars: AbsolutePath | None = Field(
        None, description="folder that has Neo4j's jars, for machines without network"
    )
    neo4j_heap_mb: int = Field(512, ge=256, le=65536, description="largest heap of the embedded Neo4j")
    neo4j_page_cache_mb: int | None = Field(
        None,
        ge=32,
        le=262144,
        description="page cache of the embedded Neo4j; default by its data, 128 to 512",
    )
    neo4j_import_mb: int = Field(
        2048, ge=512, le=262144, description="memory of Neo4j's offline importer, half of it heap"
    )
    maven_url: str | None = Field(
        None, description="Maven repository to fetch the jars from; default Maven Central"
    )

    mongo_uri: SecretStr | None = Field(
        None, description="URI of a MongoDB replica set; without it one is started"
    )
    mongo_database: str = Field(
        "terag", min_length=1, pattern=r'^[^/\\. "$*<>:|?]+$', description="database in it"
    )
    mongo_cache_mb: int = Field(256, ge=256, le=262144, description="WiredTiger cache of the embedded mongod")

    api_host: str = Field("127.0.0.1", min_length=1, description="address that the REST service listens on")
    api_port: Port = Field(8080, description="port of the REST service")
    dagster_port: Port = Field(3000, description="port of the Dagster web server")
    api_key_pepper: SecretStr | None = Field(
        None, description="secret that API keys are hashed with; else made once"
    )
    keep_batches: int = Field(2, ge=1, le=1000, description="complete batches that are kept")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field(
        "INFO", description="least level logged"
    )
    telegram_token: SecretStr | None = Field(None, description="token of the bot that sends ring alerts")
    telegram_chat_id: ChatId | None = Field(None, description="chat that ring alerts go to")
    telegram_escalation_chat_id: ChatId | None = Field(
        None, description="chat that escalations go to; default the same"
    )
    telegram_url: str = Field("https://api.telegram.org", description="address of Telegram's Bot API")
    telegram_proxy: SecretStr | None = Field(None, description="HTTP proxy on the way to it")
    telegram_interval_s: float | None = Field(
        None, ge=0, le=3600, description="seconds between two messages; default 1, in a group 3"
    )
    alert_link: str | None = Field(
        None, description="address of an alert inside the house, with {alert_id} in it"
    )
    alert_escalation_hours: Annotated[dict[Severity, tuple[EscalationHours, ...]], NoDecode] = Field(
        dict(EscalationPolicy().hours),  # type: ignore[arg-type]  # its keys are severities
        description="hours until an alert that nobody acknowledged is told again, by severity, as JSON",
    )
    alert_webhook_url: SecretStr | None = Field(
        None, description="address inside the house that alerts are posted to as JSON"
    )
    alert_webhook_details: bool = Field(False, description="whether that JSON has the ring's figures")
    alert_mail_host: str | None = Field(None, description="mail server that sends alerts")
    alert_mail_port: Port = Field(587, description="its port")
    alert_mail_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="how the connection to it is encrypted"
    )
    alert_mail_user: str | None = Field(None, description="user of that server")
    alert_mail_password: SecretStr | None = Field(None, description="password of that server")
    alert_mail_from: str | None = Field(None, description="address that mails come from")
    alert_mail_to: str | None = Field(None, description="address that mails go to")
    alert_mail_details: bool = Field(False, description="whether mails have the ring's figures")

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper_case(cls, level: object) -> object:
        return level.upper() if isinstance(level, str) else level

    @field_validator("neo4j_uri", mode="after")
    @classmethod
    def _check_neo4j_uri(cls, uri: str | None) -> str | None:
        if uri is not None:
            _check_address(uri, NEO4J_SCHEMES)
            if "@" in urlsplit(uri).netloc:
                raise ValueError(
                    "user and password do not belong in it: set TERAG_NEO4J_USER and TERAG_NEO4J_PASSWORD"
                )
        return uri

    @field_validator("mongo_uri", mode="after")
    @classmethod
    def _check_mongo_uri(cls, uri: SecretStr | None) -> SecretStr | None:
        if uri is not None:
            _check_address(uri.get_secret_value(), MONGO_SCHEMES)
        return uri

    @field_validator("maven_url", mode="after")
    @classmethod
    def _check_maven_url(cls, url: str | None) -> str | None:
        if url is not None:
            _check_address(url, HTTP_SCHEMES)
        return url.rstrip("/") if url else url

    @field_validator("alert_escalation_hours", mode="before")
    @classmethod
    def _read_hours(cls, hours: object) -> object:
        try:
            return json.loads(hours) if isinstance(hours, str) else hours
        except json.JSONDecodeError:
            raise ValueError('should be JSON such as {"critical": [1, 4], "high": [8]}') from None

    @field_validator("alert_escalation_hours", mode="after")
    @classmethod
    def _check_hours(cls, hours: dict[Severity, tuple[float, ...]]) -> dict[Severity, tuple[float, ...]]:
        if any(list(steps) != sorted(set(steps)) for steps in hours.values()):
            raise ValueError("should have the hours of each severity in ascending order, none twice")
        return hours

    @field_validator("alert_mail_from", "alert_mail_to", mode="after")
    @classmethod
    def _check_mail_address(cls, text: str | None) -> str | None:
        if text is not None and not (text.isprintable() and _has_only_addresses(text)):
            raise ValueError("should be mail addresses such as risk@bank.example, with commas between them")
        return text

    @field_validator("telegram_url", mode="after")
    @classmethod
    def _check_telegram_url(cls, url: str) -> str:
        _check_http_address(url)
        _refuse_login(url)
        if urlsplit(url).query or urlsplit(url).fragment:
            raise ValueError("should have nothing after the path")
        return url.rstrip("/")

    @field_validator("telegram_proxy", "alert_webhook_url", mode="after")
    @classmethod
    def _check_secret_address(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            _check_http_address(url.get_secret_value())
        return url

    @field_validator("telegram_token", mode="after")
    @classmethod
    def _check_token(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and not re.fullmatch(r"[A-Za-z0-9:_-]+", token.get_secret_value()):
            raise ValueError("should be the token alone, as @BotFather shows it: digits, a colon, letters")
        return token

    @field_validator("alert_link", mode="after")
    @classmethod
    def _check_link(cls, link: str | None) -> str | None:
        if link is not None:
            _check_http_address(link)
            _refuse_login(link)
            if "{" in link.replace("{alert_id}", "", 1) or "{alert_id}" not in link:
                raise ValueError("should have {alert_id} in it once, and nothing else in braces")
        return link

    @field_validator("api_key_pepper", mode="after")
    @classmethod
    def _check_pepper(cls, pepper: SecretStr | None) -> SecretStr | None:
        if pepper is not None and len(pepper.get_secret_value()) < 16:
            raise ValueError("should have at least 16 characters, drawn at random")
        return pepper

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.neo4j_password is not None and self.neo4j_uri is None:
            raise ValueError(
                "TERAG_NEO4J_PASSWORD is set but TERAG_NEO4J_URI is not: the embedded Neo4j makes its own "
                "password, so set the URI of your server or unset the password"
            )
        if (self.telegram_token is None) != (self.telegram_chat_id is None):
            raise ValueError(
                "TERAG_TELEGRAM_TOKEN and TERAG_TELEGRAM_CHAT_ID go together: set both or neither"
            )
        mail = (self.alert_mail_host, self.alert_mail_from, self.alert_mail_to)
        if any(mail) and not all(mail):
            raise ValueError("TERAG_ALERT_MAIL_HOST, _FROM and _TO go together: set all or none")
        return self

    @property
    def cache_folder(self) -> Path:
        """Where Neo4j's jars and its start-up cache are kept; may be shared by several homes."""
        return self.cache or self.home / "cache"

    @property
    def stores_folder(self) -> Path:
        """Data, logs, passwords and state of the embedded stores."""
        return self.home / "stores"

    @property
    def graph_loads_folder(self) -> Path:
        """Where the manifests of the graph's loads are kept."""
        return self.home / "graph-loads"

    @property
    def lake_folder(self) -> Path:
        """The Parquet tables, batch by batch."""
        return self.home / "lake"

    @property
    def dagster_folder(self) -> Path:
        """DAGSTER_HOME: the persistent Dagster instance."""
        return self.home / "dagster"

    @property
    def api_key_pepper_file(self) -> Path:
        """Where the pepper is kept that was made because none was set."""
        return self.home / "secrets" / "api-key-pepper"


def load_settings(environment: Mapping[str, str] | None = None, **overrides: object) -> Settings:
    """The settings, from the environment and what is given by name (an option wins over a variable).

    Args:
        environment: only checked for unknown names; the default is the process's own environment.
        overrides: settings by their field name; None means not given.

    Raises:
        ConfigurationError: a variable is unknown, malformed, or contradicts another. The text names the
            variable and never its value.
    """
    _refuse_unknown_variables(os.environ if environment is None else environment)
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        raise ConfigurationError("; ".join(_explain_errors(error))) from None


def variable_of(field: str) -> str:
    """The environment variable of a field of Settings: ``neo4j_uri`` gives ``TERAG_NEO4J_URI``."""
    return PREFIX + field.upper()


def known_variables() -> dict[str, str]:
    """Every variable with what it means, in the order in which they are declared."""
    return {variable_of(name): field.description or "" for name, field in Settings.model_fields.items()}


def _refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    known = list(known_variables())
    unknown = sorted(
        name for name in environment if name.upper().startswith(PREFIX) and name.upper() not in known
    )
    if unknown:
        raise ConfigurationError("; ".join(_explain_unknown(name, known) for name in unknown))


def _explain_unknown(name: str, known: list[str]) -> str:
    names = [one.removeprefix(PREFIX) for one in known]
    nearest = difflib.get_close_matches(name.upper().removeprefix(PREFIX), names, n=1, cutoff=0.5)
    hint = f"did you mean {PREFIX}{nearest[0]}?" if nearest else f"known are {', '.join(known)}"
    return f"there is no setting {name}: {hint}"


def _explain_errors(error: ValidationError) -> list[str]:
    return [
        _explain_error(str(item["loc"][0]) if item["loc"] else None, item["msg"]) for item in error.errors()
    ]


def _explain_error(field: str | None, message: str) -> str:
    text = message.removeprefix("Value error, ")
    if field is None:
        return text
    if field not in Settings.model_fields:
        return _explain_unknown(variable_of(field), list(known_variables()))
    sentence = text[:1].lower() + text[1:]
    return f"{variable_of(field)} ({Settings.model_fields[field].description}): {sentence}"


def _check_address(address: str, schemes: tuple[str, ...]) -> None:
    parts = urlsplit(address)
    if parts.scheme not in schemes or not parts.netloc:
        raise ValueError(
            f"should be an address that starts with one of {', '.join(s + '://' for s in schemes)}"
        )


def _check_http_address(address: str) -> None:
    """Also what a client would stumble over later: no host, a port that is none, white space."""
    _check_address(address, HTTP_SCHEMES)
    try:
        parts = urlsplit(address)
        is_whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_whole = False
    if not is_whole or not address.isprintable() or " " in address:
        raise ValueError("should be an address with a host, and a port from 1 to 65535 if any")


def _refuse_login(address: str) -> None:
    """In addresses that are logged, or leave the house."""
    if "@" in urlsplit(address).netloc:
        raise ValueError("should have no user and no password in it")


def _has_only_addresses(text: str) -> bool:
    return all(re.fullmatch(r"[^@\s]+@[^@\s]+", address) for _, address in getaddresses([text]))
