"""`terag up` and `terag down`: stores, Dagster's web server and daemon, and the REST API as one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
from rich.console import Console

from resources.doctor import DAGSTER_HOST, examine_ports
from resources.embedded import DOCUMENTS, PRIMARY, STANDBY, EmbeddedStores
from resources.owner_files import write_owner_file
from resources.processes import listening
from resources.settings import Settings, load_settings
from terag_pipelines.cli.instance import prepare_instance
from terag_pipelines.cli.keys import new_key
from terag_pipelines.errors import ConfigurationError

START_SECONDS = 180.0
STOP_SECONDS = 15.0


def start_services(detach: bool, console: Console) -> None:
    """Starts everything, waits until it answers, prints where it is; then waits for Ctrl-C unless detached.

    Raises: ConfigurationError where a port is taken, or a service does not come up or ends by itself.
    """
    settings = load_settings()
    _refuse_second(settings)
    _refuse_taken_ports(settings)
    EmbeddedStores(settings, console.print).start(keep=True, needs=(DOCUMENTS, PRIMARY, STANDBY))
    prepare_instance(settings.dagster_folder)
    children = {name: _spawn(name, command, settings) for name, command in _commands(settings).items()}
    _pid_file(settings).write_text("\n".join(str(child.pid) for child in children.values()))
    try:
        _await_answers(settings, children)
        console.print(_addresses(settings), soft_wrap=True)
        if not detach:
            _wait(settings, children, console)
    except BaseException:
        stop_services(console)
        raise
    if not detach:
        stop_services(console)


def stop_services(console: Console) -> None:
    """Stops what was started, services first, then the stores."""
    settings = load_settings()
    file = _pid_file(settings)
    pids = [int(line) for line in file.read_text().split()] if file.exists() else []
    _end([process for pid in pids if (process := _ours(pid))])
    file.unlink(missing_ok=True)
    EmbeddedStores(settings).stop()
    console.print("everything is stopped")


def _commands(settings: Settings) -> Mapping[str, list[str]]:
    module = ["-m", "terag_pipelines.definitions"]
    web = ["dagster-webserver", "--host", DAGSTER_HOST, "--port", str(settings.dagster_port), *module]
    bin_folder = Path(sys.executable).parent
    return {
        "dagster-webserver": [str(bin_folder / web[0]), *web[1:]],
        "dagster-daemon": [str(bin_folder / "dagster-daemon"), "run", *module],
        "api": [sys.executable, "-m", "terag_pipelines.cli.main", "serve"],
    }


def _spawn(name: str, command: list[str], settings: Settings) -> subprocess.Popen[bytes]:
    log_file = _log_file(settings, name)
    log_file.parent.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        "DAGSTER_HOME": str(settings.dagster_folder),
        "TERAG_HOME": str(settings.home),
    }
    with log_file.open("ab") as log:
        return subprocess.Popen(
            listening(command), stdout=log, stderr=log, env=environment, start_new_session=True
        )


def _await_answers(settings: Settings, children: Mapping[str, subprocess.Popen[bytes]]) -> None:
    wanted = {
        "api": f"{_api_address(settings)}/healthz",
        "dagster-webserver": f"{_dagster_address(settings)}/server_info",
    }
    deadline = time.monotonic() + START_SECONDS
    for name, address in wanted.items():
        while not _answers(address):
            if children[name].poll() is not None or time.monotonic() > deadline:
                raise ConfigurationError(f"{name} did not start; its log is {_log_file(settings, name)}")
            time.sleep(0.3)


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=2).is_success
    except httpx.HTTPError:
        return False


def _api_address(settings: Settings) -> str:
    host = f"[{settings.api_host}]" if ":" in settings.api_host else settings.api_host
    return f"http://{host}:{settings.api_port}"


def _dagster_address(settings: Settings) -> str:
    return f"http://{DAGSTER_HOST}:{settings.dagster_port}"


def _log_file(settings: Settings, name: str) -> Path:
    return settings.home / "logs" / f"{name}.log"


def _addresses(settings: Settings) -> str:
    api = _api_address(settings)
    key = _first_key(settings)
    return "\n".join(
        [
            f"  Dagster    {_dagster_address(settings)}",
            f"  REST API   {api}/docs",
            f"  API key    {key}" if key else "  API key    made before; `terag keys create` makes another",
            f'  try        curl -H "X-API-Key: {key or "$KEY"}" {api}/v1/rings',
        ]
    )


def _first_key(settings: Settings) -> str | None:
    """A key for the first start; its text is shown once and not kept."""
    marker = settings.home / "secrets" / "first-key-made"
    if marker.exists():
        return None
    key = new_key("first key", "admin", None)
    write_owner_file(marker, "")
    return key


def _wait(settings: Settings, children: Mapping[str, subprocess.Popen[bytes]], console: Console) -> None:
    console.print("Ctrl-C stops everything")
    with suppress(KeyboardInterrupt):
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        while all(child.poll() is None for child in children.values()):
            time.sleep(0.5)
        ended = next(name for name, child in children.items() if child.poll() is not None)
        raise ConfigurationError(f"{ended} has ended by itself; its log is {_log_file(settings, ended)}")


def _refuse_taken_ports(settings: Settings) -> None:
    """Else another's service would answer for ours."""
    for finding in examine_ports(settings):
        if finding.state != "ok":
            raise ConfigurationError(f"{finding.subject} {finding.detail}: {finding.remedy}")


def _refuse_second(settings: Settings) -> None:
    file = _pid_file(settings)
    if file.exists() and any(_ours(int(line)) for line in file.read_text().split()):
        raise ConfigurationError("it is running already; `terag down` stops it")


def _ours(pid: int) -> psutil.Process | None:
    """The process of this id where it is one that `up` started, not a stranger that got the id later."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        command = " ".join(process.cmdline())
        if "dagster" in command or "terag_pipelines" in command:
            return process
    return None


def _end(processes: list[psutil.Process]) -> None:
    family = [*processes, *(child for process in processes for child in process.children(recursive=True))]
    for process in family:
        with suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(family, timeout=STOP_SECONDS)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()


def _pid_file(settings: Settings) -> Path:
    settings.home.mkdir(parents=True, exist_ok=True)
    return settings.home / "services.pids"
