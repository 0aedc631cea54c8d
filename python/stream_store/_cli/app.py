"""The commands and their arguments; facts.py, rows.py and export.py do the work."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

import stream_store
from stream_store.group import is_group

from . import remote
from .completion import field_names
from .exit_codes import DAMAGED, FAILED, INTERRUPTED, WRONG, ArgumentError
from .facts import describe, show_bounds, show_facts
from .groups import (
    describe_group,
    follow_group,
    open_group,
    show_group,
    verify_group,
)
from .output import bar, print_json, say, show_findings, show_gaps, unwritten_output, warn
from .rows import follow_rows, show_rows
from .tables import show_episodes, show_stats

app = typer.Typer(
    no_args_is_help=True,
    help="Inspect, check, copy, repair and export stores of stream_store.",
    pretty_exceptions_enable=False,
)

Store = Annotated[Path, typer.Argument(help="directory of the store")]
Place = Annotated[Path, typer.Argument(help="directory of the store or of a group of stores")]
Url = Annotated[str, typer.Argument(help="s3://bucket/prefix, gs://…, az://… or file:///directory")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
Lines = Annotated[bool, typer.Option("--json", help="print one JSON object per row")]
Fields = Annotated[
    list[str] | None,
    typer.Option("--field", "-f", help="only these fields", autocompletion=field_names),
]
LIMIT = "a number, or inf to lift the limit"
Limit = Annotated[str | None, typer.Option(help=LIMIT)]
Count = Annotated[int, typer.Option("--rows", "-n", min=0, help="number of rows")]


#: The errors of a store that commands report in one line.
EXPECTED = (
    stream_store.Error,
    OSError,
    ValueError,
    RuntimeError,
    IndexError,
    ImportError,
)


@contextmanager
def answered() -> Iterator[None]:
    """Turns an expected error into one line on standard error and an exit code."""
    try:
        yield
        if (unwritten := unwritten_output()) is not None:
            raise unwritten
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has ended
        unwritten_output()
        raise typer.Exit from None
    except ArgumentError as error:
        warn(str(error))
        raise typer.Exit(WRONG) from None
    except typer.Abort:  # a RuntimeError, too
        warn("not confirmed; nothing was changed")
        raise typer.Exit(FAILED) from None
    except EXPECTED as error:
        unwritten_output()
        warn(_text(error))
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def _text(error: Exception) -> str:
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"


def limit_of(name: str, text: str | None) -> float | None:
    """The limit in an option, or None without it."""
    if text is None:
        return None
    if text == "inf":
        return math.inf
    if text.isdecimal() and int(text):
        return int(text)
    raise ArgumentError(f"--{name} must be {LIMIT}, not {text!r}")


def _print_version(asked: bool) -> None:
    if asked:
        say(stream_store.__version__)
        raise typer.Exit


@app.callback()
def command(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="print the version"),
    ] = False,
) -> None:
    pass


@app.command()
def info(
    store: Place,
    by: Annotated[
        list[str] | None, typer.Option("--by", help="count segments by an int or bool field")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show fields, sizes, limits, durable rows and state; of a group, those of each store."""
    with answered():
        if is_group(store):
            if by:
                raise ArgumentError("--by is for a store, but this is a group of stores")
            with open_group(store) as group:
                facts = describe_group(group)
            print_json(facts) if as_json else show_group(facts)
            return
        with stream_store.StreamStore(store, "r") as opened:
            facts = describe(opened, by or [])
        print_json(facts) if as_json else show_facts(facts)


@app.command()
def head(store: Store, rows: Count = 10, field: Fields = None, as_json: Lines = False) -> None:
    """Show the first rows."""
    with answered(), stream_store.StreamStore(store, "r") as opened:
        view = opened.snapshot()
        first = view.first_row
        show_rows(view, first, min(first + rows, view.num_rows), field, as_json)


@app.command()
def tail(store: Store, rows: Count = 10, field: Fields = None, as_json: Lines = False) -> None:
    """Show the last rows."""
    with answered(), stream_store.StreamStore(store, "r") as opened:
        view = opened.snapshot()
        end = view.num_rows
        show_rows(view, max(end - rows, view.first_row), end, field, as_json)


@app.command()
def follow(
    store: Place,
    rows: Count = 10,
    field: Fields = None,
    wait: Annotated[float, typer.Option(help="seconds to wait for the store to appear")] = 0.0,
    idle: Annotated[
        float | None, typer.Option(help="end after this many seconds without a new row")
    ] = None,
    as_json: Lines = False,
) -> None:
    """Show the last rows, then each new row as a writer appends it, until Ctrl-C."""
    if is_group(store):
        with answered(), open_group(store) as group:
            follow_group(group, rows, field, idle, as_json)
        return
    with answered(), stream_store.StreamStore(store, "r", wait=wait) as opened:
        follow_rows(opened, max(opened.num_rows - rows, 0), field, idle, as_json)


@app.command()
def stats(store: Store, field: Fields = None, as_json: AsJson = False) -> None:
    """Show counts, range, mean, deviation, quantiles and lengths of each field."""
    with answered(), stream_store.StreamStore(store, "r") as opened:
        show_stats(opened, field, as_json)


@app.command()
def episodes(
    store: Store,
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by",
            help="the int or bool field that cuts segments; by default segment_by of the store, or "
            "its field episode",
        ),
    ] = None,
    field: Annotated[
        list[str] | None, typer.Option("--sum", help="a field to add up; by default all floats")
    ] = None,
    rows: Annotated[int, typer.Option("--rows", "-n", min=0, help="number of segments")] = 20,
    sort: Annotated[
        str | None, typer.Option(help="length, or a field that is added up: largest first")
    ] = None,
    as_json: Lines = False,
) -> None:
    """List segments (episodes) with their lengths and sums."""
    with answered(), stream_store.StreamStore(store, "r") as opened:
        show_episodes(opened, by, field, rows, sort, as_json)


@app.command()
def view(
    store: Place,
    by: Annotated[
        list[str] | None, typer.Option("--by", help="an int or bool field that cuts segments")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="write a page into this file")] = None,
    rerun: Annotated[bool, typer.Option("--rerun", help="show it in the viewer of rerun")] = False,
    save: Annotated[
        Path | None, typer.Option(help="with --rerun, write this .rrd file instead")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="with --rerun, go on until Ctrl-C")
    ] = False,
) -> None:
    """Look into a store in the terminal, as a page, or in rerun; also while it is written."""
    from .view import view as show  # imports what only this command needs

    with answered():
        show(store, by or [], html, rerun, save, follow)


@app.command()
def verify(
    store: Annotated[
        str, typer.Argument(help="directory of a store or a group, or URL of a shipped store")
    ],
    as_json: AsJson = False,
) -> None:
    """Check every byte. The exit code is 1 if synced data is damaged."""
    with answered():
        if remote.is_url(store):
            ok = remote.verify(store, as_json)
        elif is_group(Path(store)):
            ok = verify_group(Path(store), as_json)
        else:
            ok = _verify(store, as_json)
    if not ok:
        raise typer.Exit(DAMAGED)


def _verify(store: str, as_json: bool) -> bool:
    with bar("verify", hidden=as_json) as progress:
        report = stream_store.verify(store, progress=progress)
    if as_json:
        print_json(report)
    else:
        show_findings(report.findings, report.damages + report.notices)
        verdict = "no damage" if report.ok else f"{report.damages:,} findings of damage"
        say(
            f"{store}: {verdict}; {report.good_rows:,} of {report.rows:,} rows are good, "
            f"{report.bytes:,} bytes checked"
        )
        show_bounds(report)
    return report.ok


@app.command()
def repair(
    store: Store,
    into: Annotated[Path, typer.Argument(help="new directory")],
    truncate_at_damage: Annotated[
        bool, typer.Option("--truncate-at-damage", help="copy only the rows before the damage")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Copy the rows of a damaged store that are intact into a new one."""
    with answered():
        with bar("repair", hidden=as_json) as progress:
            report = stream_store.repair(
                store, into, truncate_at_damage=truncate_at_damage, progress=progress
            )
        if as_json:
            print_json(report)
        else:
            show_findings(report.findings, len(report.findings))
            show_gaps(report.gaps, report.gap_count)
            say(
                f"{into}: {report.rows:,} rows; rows known to be lost: {report.rows_lost:,}, "
                f"in {report.gap_count:,} {'gap' if report.gap_count == 1 else 'gaps'}"
            )


@app.command()
def truncate(
    store: Store,
    rows: Annotated[int, typer.Argument(help="number of rows to keep", min=0)],
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Remove all rows from number ROWS on, for good."""
    with answered():
        stream_store.StreamStore(store, "r").close()  # a missing store is not created
        with stream_store.StreamStore(store) as opened:
            more = max(opened.num_rows - rows, 0)
            if more and not yes:
                typer.confirm(f"{store}: remove the last {more:,} rows?", abort=True)
            removed = opened.truncate(rows)
            say(f"{store}: {removed:,} rows removed; {opened.num_rows:,} rows left")


@app.command()
def drop(
    store: Store,
    row: Annotated[int, typer.Argument(help="the first row to keep", min=0)],
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Drop all rows before ROW, for good."""
    with answered():
        stream_store.StreamStore(store, "r").close()  # a missing store is not created
        with stream_store.StreamStore(store) as opened:
            fewer = min(row, opened.num_rows) - opened.first_row
            if fewer > 0 and not yes:
                typer.confirm(f"{store}: drop the first {fewer:,} rows?", abort=True)
            dropped = opened.drop_before(row)
            say(f"{store}: {dropped:,} rows dropped; {opened.kept_rows:,} rows left")


@app.command()
def retain(
    store: Store,
    rows: Limit = None,
    size: Annotated[str | None, typer.Option("--bytes", help=LIMIT)] = None,
    segments: Limit = None,
    by: Annotated[
        list[str] | None, typer.Option("--by", help="an int or bool field that cuts segments")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Change how much the store retains; older rows are dropped for good."""
    with answered():
        wanted = limit_of("rows", rows), limit_of("bytes", size), limit_of("segments", segments)
        if wanted == (None, None, None) and not by:
            raise ArgumentError("name a limit: --rows, --bytes, --segments or --by")
        with stream_store.StreamStore(store, "r") as opened:
            now, kept = opened.retention, opened.kept_rows
        if not yes:
            typer.confirm(f"{store}: change the limits, so that rows may be dropped?", abort=True)
        most, space, last = wanted
        stream_store.StreamStore(
            store, retain_rows=most, retain_bytes=space, retain_segments=last, segment_by=by or None
        ).close()  # which drops the rows that are too many
        with stream_store.StreamStore(store, "r") as opened:
            say(f"{store}: retains {opened.retention}; before: {now}")
            say(f"{kept - opened.kept_rows:,} rows dropped; {opened.kept_rows:,} rows left")


@app.command()
def checkpoint(
    store: Store,
    into: Annotated[Path, typer.Argument(help="new directory")],
    update: Annotated[
        bool, typer.Option("--update", help="bring an earlier checkpoint at INTO up to date")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Copy the current rows into a new store, also while a writer appends."""
    with answered(), stream_store.StreamStore(store, "r") as opened:
        with bar("checkpoint", hidden=as_json) as progress:
            copied = opened.checkpoint(into, update=update, progress=progress)
        answer: dict[str, Any] = {"path": str(into), "rows": copied}
        if update:
            with stream_store.StreamStore(into, "r") as copy:
                answer = {"path": str(into), "rows": copy.num_rows, "bytes_copied": copied}
        if as_json:
            print_json(answer)
        else:
            say(f"{into}: {answer['rows']:,} rows" + f"; {copied:,} bytes copied" * update)


@app.command()
def ship(
    store: Store,
    url: Url,
    every: Annotated[
        str | None, typer.Option(help="go on, with this time between two rounds, such as 1s")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Copy the durable rows to an object store, and with --every also those that follow."""
    with answered():
        remote.ship(store, url, every, as_json)


@app.command()
def mirror(
    url: Url,
    store: Annotated[Path, typer.Argument(help="directory of the replica")],
    follow: Annotated[bool, typer.Option("--follow", help="go on until Ctrl-C")] = False,
    every: Annotated[str, typer.Option(help="time between two looks with --follow")] = "500ms",
    as_json: AsJson = False,
) -> None:
    """Make or continue a replica of a store that is shipped to URL."""
    with answered():
        remote.mirror(url, store, follow, every, as_json)


@app.command()
def export(
    store: Store,
    out: Annotated[Path, typer.Argument(help="file to write; - is standard output")],
    kind: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="parquet, arrow, arrow-stream or csv; by default the file's suffix decides",
        ),
    ] = None,
    start: Annotated[
        int | None, typer.Option(help="first row; by default the first that the store has")
    ] = None,
    stop: Annotated[int | None, typer.Option(help="row to stop before; by default the end")] = None,
    field: Fields = None,
    step_column: Annotated[
        str | None, typer.Option(help="name of a first column with the steps")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify rows and write them into a Parquet, Arrow or CSV file."""
    from .export import STDOUT, Choice, export_rows

    with answered(), stream_store.StreamStore(store, "r") as opened:
        with bar("export", hidden=as_json) as progress:
            choice = Choice(start, stop, field, step_column)
            rows = export_rows(opened, out, kind, choice, progress)
        if str(out) == STDOUT:
            return
        answer: dict[str, Any] = {"path": str(out), "rows": rows}
        print_json(answer) if as_json else say(f"{out}: {rows:,} rows")


@app.command()
def convert(
    src: Annotated[Path, typer.Argument(help="a store, or data in another format")],
    dst: Annotated[Path, typer.Argument(help="a new path")],
    source_format: Annotated[
        str | None, typer.Option("--from", help="format of SRC; by default its content decides")
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(help="store, lerobot, mcap, minari, parquet or arrow; default: suffix of DST"),
    ] = None,
    maps: Annotated[
        list[str] | None, typer.Option("--map", help="FIELD=PATH in the source; repeatable")
    ] = None,
    fps: Annotated[int | None, typer.Option(help="frames per second of a LeRobotDataset")] = None,
    by: Annotated[
        list[str] | None, typer.Option("--by", help="int or bool field that cuts episodes")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            "-o",
            help="NAME=VALUE: another argument of the Python method; of a list, one item",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option(help="continue an interrupted import")] = False,
    check: Annotated[bool, typer.Option(help="compare every value afterwards")] = False,
    as_json: AsJson = False,
) -> None:
    """Convert between a store and LeRobot, MCAP, Minari, HDF5, Zarr, Parquet or Arrow."""
    from .convert import can_be_resumed, run_convert

    with answered():
        named = {"fps": fps, "by": by or None, "resume": resume, "check": check}
        try:
            report = run_convert(
                src, dst, (source_format, to), maps or [], named, option or [], as_json
            )
        except KeyboardInterrupt:
            if can_be_resumed(dst):
                warn(f"{dst}: interrupted; the same command with --resume continues")
            raise
        print_json(report) if as_json else say(f"{dst}: {report}\n{report.seconds:.1f} s")
