"""The `terag` command. What takes long to import is imported by the command that needs it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from terag_pipelines.cli.printing import printable
from terag_pipelines.errors import TeragError

FOLDER = click.Path(path_type=Path, file_okay=False)
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for machines.")
PIPE_WIDTH = 132
console = Console(stderr=True, highlight=False)


def _output() -> Console:
    """Standard output; where it is no terminal, wide enough for a table."""
    out = Console(highlight=False)
    return out if out.is_terminal else Console(highlight=False, width=PIPE_WIDTH)


def _print_failure(error: Exception, sentence: str) -> None:
    told = "\n".join(printable(line) for line in sentence.splitlines())
    console.print(f"[bold red]{type(error).__name__}[/]: {told}", soft_wrap=True)


class NamedErrors(click.Group):
    """Prints a named failure, or a file that cannot be used, as one sentence without a trace; then exit 1."""

    def invoke(self, ctx: click.Context) -> object:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except TeragError as error:
            _print_failure(error, str(error))
        except OSError as error:
            if error.filename is None:
                raise
            _print_failure(error, f"{error.filename}: {error.strerror}")
        raise SystemExit(1)


@click.group(
    cls=NamedErrors, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(package_name="terag-pipelines")
def main() -> None:
    """Entity linking, fraud rings, calibrated confidence, causal twins and billing for risk teams."""


@main.command()
@click.option("--source", type=FOLDER, help="Folder with a source.yaml; without it, the demo bank.")
@click.option("--root", type=FOLDER, help="Where the source's files are, if not where its manifest says.")
@click.option("--month", help="Month to invoice, YYYY-MM; without it, of those over the one with most usage.")
@JSON
def run(source: Path | None, root: Path | None, month: str | None, as_json: bool) -> None:
    """Run the whole job over a source: link, load, tune, find rings, calibrate, answer, invoice."""
    from terag_pipelines.cli.run import run_source

    outcome = run_source(source, root, month, console)
    if as_json:
        click.echo(json.dumps(outcome.as_json(), indent=2, sort_keys=True, default=str))
    else:
        outcome.print(_output())
    sys.exit(0 if outcome.is_success else 1)


FILE = click.Path(path_type=Path)
STEPS = ["seconds", "minutes", "hours", "days"]


@main.command()
@click.argument("sources", nargs=-1, type=FILE)
@click.option("--left", type=FILE, help="Link the records of this file with those of --right only.")
@click.option("--right", type=FILE, help="See --left.")
@click.option("--out", type=FILE, required=True, help="Folder to write; earlier results there are replaced.")
@click.option(
    "--field", "fields", multiple=True, metavar="COLUMN=FIELD", help="What a column is, or 'ignore'."
)
@click.option("--holds", type=click.Choice(["people", "organisations", "parties"]), help="What the rows are.")
@click.option(
    "--country", metavar="XX", help="Two-letter code: where numbers without a country code are from."
)
@click.option("--date-order", type=click.Choice(["dmy", "mdy"]), help="Of dates such as 03/04/2024.")
@click.option("--encoding", default="utf-8", show_default=True, help="Of text files, such as windows-1251.")
@click.option("--max-bad-share", type=click.FloatRange(0, 1), default=0.05, show_default=True,
              help="Stop where more of a file's rows cannot be read.")  # fmt: skip
@click.option("--labels", type=FILE, help="Columns left, right, is_match; or record_id, entity.")
@click.option("--must-link", type=FILE, help="Pairs that share an entity: columns left, right.")
@click.option("--cannot-link", type=FILE, help="Pairs that do not: columns left, right.")
@click.option("--threshold", type=click.FloatRange(0, 1), help="Probability from which a pair is linked.")
@click.option(
    "--one-to-one",
    is_flag=True,
    help="--left and --right hold each thing once: a record links with at most one of the other.",
)
@click.option(
    "--previous", type=FILE, help="Folder of an earlier result: ids stay, only what is new is compared."
)
@click.option(
    "--partial", is_flag=True, help="The files hold new and corrected records; others of --previous stay."
)
@JSON
def link(out: Path, fields: tuple[str, ...], as_json: bool, **asked: Any) -> None:
    """Link the records of SOURCES: files, or one folder with a source.yaml. Needs no store.

    How each column was read is told, with the reason. See docs/how-to/link.md.
    """
    from terag_pipelines.cli import link as linking
    from terag_pipelines.entities.column_types import ReadingParams

    names = ("holds", "country", "date_order", "max_bad_share")
    reading = ReadingParams(linking.parse_fields(fields), **{name: asked.pop(name) for name in names})
    linked = linking.link_files(linking.LinkRequest(out=out, reading=reading, **asked))
    if as_json:
        click.echo(linking.as_json(linked))
    else:
        linking.print_summary(linked, out, _output())


@main.command()
@click.argument("edges", type=FILE)
@click.option("--nodes", type=FILE, help="Column node; optional name, kind, opened, watchlist.")
@click.option(
    "--labels", type=FILE, help="Columns node, fraud (yes or no): risk is learned where they suffice."
)
@click.option("--out", type=FILE, required=True, help="Folder to write; earlier results there are replaced.")
@click.option(
    "--field", "fields", multiple=True, metavar="COLUMN=FIELD", help="What a column is, or 'ignore'."
)
@click.option("--since", metavar="TIME", help="Leave out what came before: 2026-01-31, a time, or a step.")
@click.option("--until", metavar="TIME", help="Leave out what came after; a day belongs to it whole.")
@click.option(
    "--currency", metavar="XXX", help="Of amounts without one; else they are in units of their own."
)
@click.option("--step", type=click.Choice(STEPS), default="days", show_default=True,
              help="What small whole numbers as times count.")  # fmt: skip
@click.option("--date-order", type=click.Choice(["dmy", "mdy"]), default="dmy", show_default=True,
              help="Of dates such as 03/04/2024.")  # fmt: skip
@click.option("--max-partners", type=click.IntRange(1), default=100, show_default=True,
              help="A node with more is a hub: it ties nobody together.")  # fmt: skip
@click.option(
    "--resolution",
    type=click.FloatRange(0, min_open=True),
    help="Of communities; without it, read off the graph.",
)
@click.option("--encoding", default="utf-8", show_default=True, help="Of text files, such as windows-1251.")
@JSON
def rings(edges: Path, out: Path, as_json: bool, **asked: Any) -> None:
    """Find communities and fraud rings in EDGES: CSV, JSONL or Parquet with source and target, and where
    known amount, time, weight, currency, kind. Needs no store. See docs/how-to/rings-alone.md.
    """
    from terag_pipelines.cli import rings as searching

    files = {name: asked.pop(name) for name in ("nodes", "labels", "encoding")}
    request = searching.RingsRequest(edges, out, **files, params=searching.params_of(**asked))
    found = searching.find_rings(request)
    if as_json:
        click.echo(searching.as_json(found))
    else:
        searching.print_summary(found, out, _output())


@main.command()
@click.option(
    "--detach", is_flag=True, help="Return at once and leave everything running; `terag down` stops it."
)
def up(detach: bool) -> None:
    """Start the stores, Dagster's web server and daemon, and the API; print their addresses."""
    from terag_pipelines.cli.services import start_services

    start_services(detach, console)


@main.command()
def down() -> None:
    """Stop what `terag up` started, and the embedded stores."""
    from terag_pipelines.cli.services import stop_services

    stop_services(console)


@main.command()
def serve() -> None:
    """Serve the REST API alone, over the promoted batch."""
    from serving.main import serve_api

    serve_api()


@main.command()
@JSON
def doctor(as_json: bool) -> None:
    """Say what is configured, what is reachable, in which version, and what to do."""
    from terag_pipelines.cli.examination import examine_installation

    sys.exit(0 if examine_installation(as_json, _output()) else 1)


@main.group()
def explain() -> None:
    """Why records are linked, or are not."""


LINKED = click.option(
    "--dir", "folder", type=FOLDER, help="What `terag link` wrote; else the promoted batch."
)
PAGE = click.option(
    "--html",
    "page",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a self-contained page, readable by its owner only: it holds personal values.",
)


@explain.command("pair")
@click.argument("left")
@click.argument("right")
@LINKED
@JSON
@PAGE
def explain_pair(left: str, right: str, folder: Path | None, as_json: bool, page: Path | None) -> None:
    """Why two records are one, or are not: what each field says, in bits."""
    from terag_pipelines.cli.explain import show_pair

    show_pair(left, right, folder, as_json, page)


@explain.command("entity")
@click.argument("entity_id", metavar="ID")
@LINKED
@JSON
@PAGE
def explain_entity(entity_id: str, folder: Path | None, as_json: bool, page: Path | None) -> None:
    """Why these records are one entity, and what would split it."""
    from terag_pipelines.cli.explain import show_entity

    show_entity(entity_id, folder, as_json, page)


@explain.command("record")
@click.argument("record_id", metavar="ID")
@LINKED
@JSON
@PAGE
def explain_record(record_id: str, folder: Path | None, as_json: bool, page: Path | None) -> None:
    """Why a record joined what it joined, and what kept the nearest others away."""
    from terag_pipelines.cli.explain import show_record

    show_record(record_id, folder, as_json, page)


@main.group()
def ring() -> None:
    """Fraud rings of the promoted batch, and the case of each."""


@ring.command("list")
@click.option(
    "--least-risk",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Only rings of this risk or more: probability where calibrated, else score.",
)
@JSON
def list_rings(least_risk: float, as_json: bool) -> None:
    """List the rings, the riskiest first."""
    from terag_pipelines.cli.ring import list_rings as show_list

    show_list(least_risk, as_json, _output())


@ring.command("show")
@click.argument("ring_id", metavar="ID")
@JSON
@PAGE
def show_ring(ring_id: str, as_json: bool, page: Path | None) -> None:
    """The case of a ring: why, who, who pays whom and when, what is shared, what else to check."""
    from terag_pipelines.cli.ring import show_ring as show_case

    show_case(ring_id, page, as_json, _output())


@main.group()
def demo() -> None:
    """The demo bank: made from a seed, with the truth known."""


@demo.command("make")
@click.option("--people", type=click.IntRange(200, 5_000_000), default=5_000, show_default=True)
@click.option("--seed", type=int, default=7, show_default=True)
@click.option(
    "--month", default="2026-10", show_default=True, help="The last month of the bank's life, YYYY-MM."
)
@click.option("--out", type=FOLDER, required=True, help="Folder to write.")
def make_demo(people: int, seed: int, month: str, out: Path) -> None:
    """Make a demo bank of a given size."""
    from terag_pipelines.cli.demo import write_bank

    with console.status(f"making a bank of {people:,} people"):
        write_bank(out, people, seed, month)
    console.print(f"the bank is in {out}; run it with: terag run --source {out}", markup=False)


@main.group()
def keys() -> None:
    """API keys of the REST service."""


@keys.command("create")
@click.option("--name", required=True, help="Whose key it is, for the list of keys.")
@click.option(
    "--role",
    type=click.Choice(["analyst", "billing", "operator", "admin"]),
    default="analyst",
    show_default=True,
)
@click.option("--tenant", help="Tenant that the key is bound to.")
def create_key(name: str, role: str, tenant: str | None) -> None:
    """Make an API key and print it, once."""
    from terag_pipelines.cli.keys import new_key

    click.echo(new_key(name, role, tenant))


@keys.command("list")
@JSON
def list_keys(as_json: bool) -> None:
    """List the keys that were made, without their secrets."""
    from terag_pipelines.cli.keys import print_keys

    print_keys(as_json, _output())


@keys.command("revoke")
@click.argument("key_id")
def revoke_key(key_id: str) -> None:
    """Make a key worthless."""
    from terag_pipelines.cli.keys import revoke

    revoke(key_id)
    console.print(f"{key_id} is revoked")


@main.group()
def graph() -> None:
    """The graph: what its servers hold, and which batch is served."""


@graph.command("status")
@JSON
def graph_status(as_json: bool) -> None:
    """Show each server's load, its age, and whether it holds what was loaded. Exit 1 where it does not."""
    from terag_pipelines.cli.graph import print_status

    sys.exit(0 if print_status(as_json, _output()) else 1)


@graph.command("promote")
@click.argument("batch_id", metavar="BATCH")
def promote_batch(batch_id: str) -> None:
    """Serve a batch that is loaded whole, in graph and lake."""
    from terag_pipelines.cli.graph import promote

    promote(batch_id, console)


@graph.command("rollback")
def roll_back_batch() -> None:
    """Serve the batch before this one again, in graph and lake."""
    from terag_pipelines.cli.graph import roll_back

    roll_back(console)


@graph.command("tune")
@click.option("--apply", "may_change", is_flag=True, help="Try the indexes, and keep those that pay.")
@JSON
def tune_graph(may_change: bool, as_json: bool) -> None:
    """Say which indexes slow queries ask for, and which serve nobody; changes nothing without --apply."""
    from terag_pipelines.cli.tuning import tune

    tune(may_change, as_json, _output())


@graph.command("history")
@click.option("--picture", type=FILE, help="Draw what each trial did, as PNG.")
@JSON
def index_history(picture: Path | None, as_json: bool) -> None:
    """Show every decision on an index, the last one first: tried, kept, reverted or dropped, and why."""
    from terag_pipelines.cli.tuning import print_history

    print_history(picture, as_json, _output())


@main.group()
def review() -> None:
    """Decide the pairs of records most worth a person's look; a decision takes effect with the next run."""


BY = click.option("--by", required=True, help="Who decides.")
LEFT, RIGHT = (click.argument(side) for side in ("left", "right"))


@review.command("list")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many, at most.")
@JSON
def list_reviews(limit: int, as_json: bool) -> None:
    """List the open questions, the most worth a look first."""
    from terag_pipelines.cli.review import print_queue

    print_queue(limit, as_json, _output())


@review.command("show")
@LEFT
@RIGHT
@JSON
def show_review(left: str, right: str, as_json: bool) -> None:
    """Show two records side by side, how they compare, and what was decided. Shows personal data."""
    from terag_pipelines.cli.review import print_pair

    print_pair((left, right), as_json, _output())


@review.command("decide")
@LEFT
@RIGHT
@click.option("--same", "outcome", flag_value="same", help="They are one person or company.")
@click.option("--different", "outcome", flag_value="different", help="They are two.")
@BY
@click.option("--note", help="Why, for whoever looks at it later; no names, please.")
@JSON
def decide_review(
    left: str, right: str, outcome: str | None, by: str, note: str | None, as_json: bool
) -> None:
    """Decide whether two records are the same person or company: --same or --different."""
    from terag_pipelines.cli.review import decide

    if outcome is None:
        raise click.UsageError("say which: --same or --different")
    decide((left, right), outcome == "same", by, note, as_json, _output())


@review.command("undo")
@LEFT
@RIGHT
@BY
@JSON
def undo_review(left: str, right: str, by: str, as_json: bool) -> None:
    """Take back the decision that stands on a pair; the one before it, if any, stands again."""
    from terag_pipelines.cli.review import undo

    undo((left, right), by, as_json, _output())


@review.command("history")
@click.argument("pair", nargs=-1, metavar="[LEFT RIGHT]")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="How many, at most.")
@JSON
def review_history(pair: tuple[str, ...], limit: int, as_json: bool) -> None:
    """List what was ever decided, of one pair or of all, the last first."""
    from terag_pipelines.cli.review import print_history

    if len(pair) not in (0, 2):
        raise click.UsageError("give both records of a pair, or none")
    print_history(pair[:2] or None, limit, as_json, _output())  # type: ignore[arg-type]  # none or two


@main.group(invoke_without_command=True)
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(["open", "acknowledged", "snoozed", "closed"]),
    help="Only alerts in this state; without it, all but closed ones.",
)
@click.option(
    "--severity",
    type=click.Choice(["low", "medium", "high", "critical"]),
    default="low",
    help="The least severity to list.",
)
@click.option("--owner", help="Only alerts in this person's hands.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="How many, at most.")
@JSON
@click.pass_context
def alerts(context: click.Context, /, **asked: Any) -> None:
    """List the alerts on fraud rings, the gravest first. See docs/how-to/alerts.md."""
    if context.invoked_subcommand is None:
        from terag_pipelines.cli.alerts import print_alerts

        print_alerts(console=_output(), **asked)


ALERT = click.argument("alert_id", metavar="ID")
WHO = click.option("--by", help="Who does it, for the alert's history.")


@alerts.command("show")
@ALERT
@JSON
def show_alert(alert_id: str, as_json: bool) -> None:
    """Show one alert: its ring's figures, its runbook, and what was done about it."""
    from terag_pipelines.cli.alerts import print_alert

    print_alert(alert_id, as_json, _output())


@alerts.command("ack")
@ALERT
@click.option("--owner", required=True, help="Whose it is from now on.")
@JSON
def acknowledge_alert(alert_id: str, owner: str, as_json: bool) -> None:
    """Take an alert: it does not escalate any more."""
    from terag_pipelines.cli.alerts import acknowledge

    acknowledge(alert_id, owner, as_json, _output())


@alerts.command("snooze")
@ALERT
@click.option("--days", type=click.FloatRange(0, 365, min_open=True), required=True, help="For how long.")
@WHO
@JSON
def snooze_alert(alert_id: str, days: float, by: str | None, as_json: bool) -> None:
    """Silence an alert, unless a watchlist hit or a doubled amount comes."""
    from terag_pipelines.cli.alerts import snooze

    snooze(alert_id, days, by, as_json, _output())


@alerts.command("close")
@ALERT
@click.option("--note", required=True, help="Why; no names, please.")
@WHO
@JSON
def close_alert(alert_id: str, note: str, by: str | None, as_json: bool) -> None:
    """Close an alert; it opens again when something new happens to its ring."""
    from terag_pipelines.cli.alerts import close

    close(alert_id, note, by, as_json, _output())


@alerts.command("send")
@JSON
def send_alerts(as_json: bool) -> None:
    """Send what waits, with the escalations that are due, once. Exit 1 where something still waits."""
    from terag_pipelines.cli.alerts import send

    sys.exit(0 if send(as_json, _output()) else 1)


if __name__ == "__main__":
    main()
