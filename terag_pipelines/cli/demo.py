"""The demo bank on disk."""

from __future__ import annotations

from pathlib import Path

from resources.demo_files import write_demo_bank
from resources.settings import Settings
from terag_pipelines.demo.bank import DemoParams, make_bank

DEMO_PEOPLE = 5_000
DEMO_SEED = 7
DEMO_MONTH = "2026-10"


def write_bank(folder: Path, people: int, seed: int, month: str) -> None:
    """Makes a bank and writes it to a folder, whole or not at all."""
    write_demo_bank(make_bank(DemoParams(people=people, seed=seed, month=month)), folder)


def demo_source(settings: Settings) -> Path:
    """The folder of the default demo bank, made if it is not there."""
    folder = settings.home / "sources" / "demo"
    if not (folder / "source.yaml").exists():
        write_bank(folder, DEMO_PEOPLE, DEMO_SEED, DEMO_MONTH)
    return folder
