"""evaluate.py from the command line to the report."""

from __future__ import annotations

import logging
import shlex
import sys
import time
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from sss.cli.common import check_writable
from sss.cli.evaluate_options import parse_options
from sss.console import hide_library_warnings, run_main, tell
from sss.distributed import current_rank
from sss.errors import InputError
from sss.ownership import owned
from sss.processes import terminations_as_interrupts
from sss.threads import set_thread_count, threads_each
from sss.timer import PhotoProgress

if TYPE_CHECKING:
    from sss.evaluation.options import EvaluationOptions
    from sss.evaluation.plan import Plan
    from sss.evaluation.work import PhotoResult

log = logging.getLogger(__name__)


def main(arguments: list[str] | None = None) -> int:
    """Evaluate, write the report and show the main scores.

    Args:
        arguments: Of the command line, by default those of the program.

    Returns:
        The exit code: 0 if all went well; 2 if something given could not be used, told in one
        line, or a photo could not be done: the report tells of the others.
    """
    return run_main(lambda: _evaluate(parse_options(arguments)))


def _evaluate(options: EvaluationOptions) -> int:
    from sss.evaluation.choose import make_plan
    from sss.evaluation.runner import run_photos

    started = time.monotonic()
    rank = current_rank()
    if rank.local_size > 1:  # all processes of a machine divide its cores
        set_thread_count(threads_each(rank.local_size))
    check_writable(options.out)
    check_writable(options.cache, "--cache")
    # Two evaluations would mix their files there; the cache may be shared.
    report = owned(options.out) if rank.is_first else nullcontext()
    with warnings.catch_warnings(), terminations_as_interrupts(), report:
        hide_library_warnings()
        plan, names = make_plan(options)
        own = rank.part_of(list(enumerate(names)))
        progress = PhotoProgress("evaluating", len(own))
        results = run_photos(plan, own, options.jobs, lambda one: progress.add(one.made > 0))
        progress.clear()
        log.info(
            "%d photos, %d results, %d of them made now",
            *(len(own), sum(len(one.records) for one in results), sum(one.made for one in results)),
        )
        parts = rank.gather(results)
        if not rank.is_first:
            return 0  # else torchrun would end the first one before its report is written
        results = [one for part in parts for one in part]
        failures = [line for one in results for line in one.failures]
        for line in failures:
            tell(f"error: {line}")
        _report(options, plan, names, results, time.monotonic() - started)
    return 2 if failures else 0


def _report(
    options: EvaluationOptions,
    plan: Plan,
    names: Sequence[str],
    results: Sequence[PhotoResult],
    seconds: float,
) -> None:
    """Write the report, show the main scores, hand it to Weights & Biases.

    Raises:
        InputError: There is nothing to report.
    """
    from sss.evaluation.report import write
    from sss.evaluation.report.tables import results_text
    from sss.evaluation.run_info import describe_run
    from sss.evaluation.scores import collect_entries
    from sss.evaluation.summary import summarise_groups
    from sss.evaluation.wandb_tables import track

    records = [record for one in results for record in one.records]
    if not records:
        raise InputError("no photo could be done, so there is nothing to report")
    place = {name: number for number, name in enumerate(names)}
    records.sort(key=lambda record: place[record.photo])  # several processes had every n-th
    results = sorted(results, key=lambda one: place.get(one.photo, 0))
    entries = collect_entries(records, plan.entries())
    missing = missing_photos(results)
    summaries = summarise_groups(
        entries, options.seed, missing=missing, common=options.common_photos
    )
    if not summaries:
        raise InputError(
            f"the {len(records)} results hold no scores to report; check that the data set has "
            "labels for what was measured"
        )
    command = shlex.join(["python", Path(sys.argv[0]).name, *sys.argv[1:]])
    run = describe_run(options, plan, len(names), command, seconds, missing)
    try:
        write.write_evaluation(options.out, entries, summaries, plan.cache, run)
    except InputError as error:
        raise InputError(
            f"{error} (-o); then give the same command again: all results are kept in {plan.cache}"
        ) from error
    print(results_text(summaries, missing, len(names)))
    print(options.out / "index.html")
    track(options.wandb, options.project, options.out, run, summaries)


def missing_photos(results: Sequence[PhotoResult]) -> dict[str, list[str]]:
    """Entry → photos on which it failed, in the order of the results."""
    missing: dict[str, list[str]] = {}
    for one in results:
        for entry in one.missing:
            missing.setdefault(entry, []).append(one.photo)
    return missing


if __name__ == "__main__":
    sys.exit(main())
