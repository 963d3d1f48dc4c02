"""The command line: ``python -m proda run | score | verify | bench | fetch | status``."""

import argparse
import errno
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from proda.errors import InputError, ProdaError

NO_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)  # a full disk, or a protected one


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand: exit code 0 for success, 1 for failure, 2 for a request that cannot be met."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal of another encoding shows an escape, and ends no run
            stream.reconfigure(errors="backslashreplace")
    options = parser().parse_args(arguments)
    try:
        return _exit_code(options)
    except ProdaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    except BrokenPipeError:  # the reader of a pipe, such as head, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.errno not in NO_WRITING:
            raise
        print(f"error: {error}: make room or give access, then run the same command again", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; `python -m proda status DIR` shows what is complete", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m proda", description="Soil carbon from profiles to continental maps (Tao et al. 2020)."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run the notebooks of a study and build its HTML report")
    run.add_argument("--study", default="virtual", metavar="NAME|FILE.toml", help="a study of data/studies, or a file")
    run.add_argument("--scale", default="demo", help="one of the study's scales (default: demo)")
    run.add_argument("--data", default="", metavar="DIR", help="folder with the raw tables, for studies that read them")
    run.add_argument("--out", default="", metavar="DIR", help="study folder (default: data/processed/<study>-<scale>)")
    run.add_argument("--reports", type=Path, metavar="DIR", help="folder for executed notebooks and pages")
    run.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting; repeatable")
    run.add_argument("--from", dest="first", type=int, default=1, metavar="N", help="begin with notebook N")
    run.add_argument("--only", default="", metavar="N", help="run notebook N alone (1 to 7, S1 to S5)")
    run.add_argument("--supplement", action="store_true", help="run the supplementary notebooks S1 to S5 as well")
    run.add_argument(
        "--scheduler", default="", metavar="ADDRESS", help="run sites, folds, maps and projections on a Dask cluster"
    )
    run.add_argument("--fresh", action="store_true", help="give up what interrupted runs of these notebooks left")

    score = commands.add_parser("score", help="score the maps of a finished study on profiles that it did not use")
    score.add_argument("folder", type=Path, metavar="OUT", help="the study folder, with soc_maps.nc")
    score.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of profiles.csv and layers.csv")
    score.add_argument("--to", type=Path, metavar="DIR", help="folder for tables and figure (default: OUT)")

    verify = commands.add_parser("verify", help="compare the model with a file of reference cases")
    verify.add_argument("cases", type=Path, help="a .csv or .json file of reference cases")

    bench = commands.add_parser("bench", help="measure the speed of the model and the sampler")
    bench.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to FILE as well")

    fetch = commands.add_parser("fetch", help="download a public data set; without a name, list them")
    fetch.add_argument("source", nargs="?", default="", metavar="SOURCE", help="a source of data/sources.toml")
    fetch.add_argument("--to", default="", metavar="DIR", help="folder to download to (default: data/raw/<source>)")
    fetch.add_argument("--dry-run", action="store_true", help="print what would be downloaded, and stop")

    status = commands.add_parser("status", help="what a study folder holds, what is stale, what failed")
    status.add_argument("folder", type=Path, metavar="DIR")
    return top


def overrides(pairs: Sequence[str]) -> dict[str, str]:
    """``{name: value}`` from the ``NAME=VALUE`` texts of ``--set``."""
    settings: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise InputError(f"--set {pair}: expected NAME=VALUE, as in --set epochs=50")
        settings[name.strip()] = value.strip()
    return settings


# The rooms are imported where they are used: `status` and a mistyped argument need not wait for JAX, and Ctrl-C
# meanwhile ends with one line.
def _exit_code(options: argparse.Namespace) -> int:
    from proda.stage import check_writable

    match options.command:
        case "verify":
            from proda.run.verification import verify

            return verify(options.cases)
        case "bench":
            from proda.run.bench import bench

            if options.json:
                check_writable(options.json.parent, "--json")
            return bench(options.json)
        case "fetch":
            from proda.data.fetch import fetch, known_sources, listing, source_named

            if options.to and not options.dry_run:
                check_writable(Path(options.to).expanduser(), "--to")
            if options.source:
                fetch(source_named(options.source), options.to, options.dry_run)
            else:
                print(listing(known_sources()))
        case "status":
            from proda.run.record import status_text

            print(status_text(options.folder))
        case "score":
            check_writable(options.to or options.folder, "--to")
            _score(options.folder, options.data, options.to or options.folder)
        case "run":
            _run(options)
    return 0


def _score(out: Path, data: Path, to: Path) -> None:
    import pandas as pd

    from proda.figures.results import agreement_figure
    from proda.figures.style import save_figures, use_style
    from proda.maps.scores import at_other_profiles, other_profile_scores
    from proda.stage import write_errors_explained

    other = at_other_profiles(out, data)
    table, excluded = other_profile_scores(other), other.exclusions
    use_style()
    modelled = {method: soc for method, soc in other.modelled.items() if pd.notna(soc).any()}
    figure = agreement_figure(other.layers, modelled, other.profiles, published={})
    with write_errors_explained(to, "the study is as it was"):
        save_figures({"profile_scores": figure}, to)
        table.to_csv(to / "profile_scores.csv", index=False, float_format="%.6g")
        excluded.to_csv(to / "profile_scores_exclusions.csv", index=False)
    if other.warning:
        print(f"warning: {other.warning}", file=sys.stderr)
    profile = excluded["layer"].isna()
    lost = pd.DataFrame({"profiles": profile, "layers": ~profile}).groupby(excluded["rule"], sort=False).sum()
    print(f"{len(other.profiles):,} profiles and {len(other.layers):,} layers. Excluded:")
    print(lost.to_string() if len(lost) else "nothing")
    whole = table[(table["cells"] == "all") & (table["depth"] == "all")]
    shown = whole.set_index("method").drop(columns=["cells", "depth"]).round(3)
    print(f"\nModelled and observed carbon (kg C m-3):\n\n{shown.to_string()}")
    print(f"\nBy depth and by cells: {to / 'profile_scores.csv'}; figure: profile_scores.png")


def _run(options: argparse.Namespace) -> None:
    from proda.study import Study

    study = Study.open(options.study, options.scale, options.data, options.out, overrides(options.set))
    # Only now what takes seconds to import.
    from proda.assimilation.chains import site_plan
    from proda.assimilation.one_batch import batch_constant
    from proda.assimilation.stage import one_batch_plan
    from proda.run.run import run
    from proda.workers import cluster_client

    # SIGTERM ends a run as Ctrl-C does: kernels are stopped and the record is closed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A wrong setting of a late stage ends the run before the early ones.
    one_batch_plan(study)
    site_plan(study.settings)
    batch_constant(study["one_batch_B"], n_profiles=1)
    if options.scheduler:
        cluster_client(options.scheduler).close()
    reports = options.reports.expanduser().resolve() if options.reports else None
    choices = {name: getattr(options, name) for name in ("first", "only", "supplement", "scheduler", "fresh")}
    run(study, reports=reports, **choices)


if __name__ == "__main__":
    warnings.formatwarning = lambda message, *where, **line: f"warning: {message}\n"
    sys.exit(main())
