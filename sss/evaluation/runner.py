"""An evaluation from its options to the report."""

from __future__ import annotations

import logging
import shlex
import sys
import time
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sss.cli.batch import check_writable
from sss.data.sources import data_root
from sss.distributed import own_share
from sss.errors import InputError
from sss.evaluation.cache import Cache
from sss.evaluation.choose_methods import chosen_methods
from sss.evaluation.choose_models import bundled_model, chosen_models
from sss.evaluation.describe_run import describe_run
from sss.evaluation.open_samples import open_samples
from sss.evaluation.options import Options
from sss.evaluation.parallel import do_photos, look_at_photos
from sss.evaluation.plan import Plan
from sss.evaluation.progress import Progress
from sss.evaluation.records import Record
from sss.evaluation.results_text import results_text
from sss.evaluation.summary import summarise
from sss.evaluation.wandb_tables import track
from sss.evaluation.work import Looked, Wanted
from sss.threads import set_thread_count, threads_each

log = logging.getLogger(__name__)


def run(options: Options) -> int:
    """Evaluate, write the report and show the main figures.

    Args:
        options: Of the command line.

    Returns:
        0 if all went well, 2 if a photo could not be done; the report tells of the others.

    Raises:
        InputError: Nothing can be done at all.
    """
    started = time.monotonic()
    share = own_share()
    if share.local_size > 1:  # all processes of a machine share its cores
        set_thread_count(threads_each(share.local_size))
    with warnings.catch_warnings():
        if not sys.warnoptions:  # libraries warn of what only their callers could mend
            warnings.simplefilter("ignore")
        plan, photos = make_plan(options)
        looked, failures = do_share(plan, share.of(list(enumerate(photos))), options.jobs)
        wanted = [result for one in looked for result in one.wanted]
        parts = share.gather((wanted, failures))
        if not share.first:
            return 0  # else torchrun would end the first one before its report is written
        failures = [failure for _, part in parts for failure in part]
        results, lost = collect([result for part, _ in parts for result in part], plan, failures)
        for line in [*(failure.line for failure in failures), *lost]:
            print(f"error: {line}", file=sys.stderr)
        if not results:
            raise InputError("no photo could be done, so there is nothing to report")
        report(options, plan, len(photos), results, time.monotonic() - started)
    return 2 if failures or lost else 0


def make_plan(options: Options) -> tuple[Plan, list[str]]:
    """Check all that was asked for; the names of the photos come with the plan.

    Raises:
        InputError: Data, models, methods or folders cannot be used.
    """
    check_writable(options.out)
    check_writable(options.cache, "--cache")
    methods = chosen_methods(options.method, options.layers)
    data: dict[str, Any] = {
        "name": options.data,
        "root": data_root(options.root),
        "split": options.split,
        "folder": options.folder,
        "labels": options.labels,
        "photos": options.photos,
    }
    dataset = open_samples(**data)
    photos = [dataset.name(index) for index in range(len(dataset))]
    models = chosen_models(options, photos)
    if not models and any(method.needs == "features" for method in methods):
        models = [bundled_model()]
    plan = Plan(
        data,
        options.max_side,
        tuple(models),
        tuple(methods),
        options.seed,
        options.cache.expanduser(),
        options.device,
    )
    return plan, photos


@dataclass(frozen=True)
class Failure:
    """What went wrong with a photo, in a line that names it."""

    photo: str
    line: str


def do_share(
    plan: Plan, own: Sequence[tuple[int, str]], jobs: int
) -> tuple[list[Looked], list[Failure]]:
    """Look at photos, then make what is missing.

    Args:
        plan: Of the run.
        own: Places of the photos in the data set, and their names.
        jobs: Photos done at once.

    Returns:
        What every photo wants, and what went wrong.

    Raises:
        InputError: A model cannot be loaded.
    """
    Cache(plan.cache).tidy()
    progress = Progress("looking", len(own), 0)
    looked = look_at_photos(plan, [index for index, _ in own], jobs, lambda _: progress.add(0))
    progress.clear()
    names = dict(own)
    missing = {index: one.missing for index, one in zip(names, looked, strict=True) if one.missing}
    total = sum(missing.values())
    wanted = sum(len(one.wanted) for one in looked)
    log.info("%d photos, %d results, %d of them not made yet", len(own), wanted, total)
    progress = Progress("evaluating", len(own), total)
    progress.done = len(own) - len(missing)
    failures = [
        Failure(name, one.failure)
        for name, one in zip(names.values(), looked, strict=True)
        if one.failure
    ]
    outcomes = do_photos(plan, list(missing), jobs, lambda index: progress.add(missing[index]))
    progress.clear()
    for index, lines in zip(missing, outcomes, strict=True):
        failures += [Failure(names[index], line) for line in lines]
    return looked, failures


def collect(
    wanted: Iterable[Wanted], plan: Plan, failures: Sequence[Failure]
) -> tuple[list[Record], list[str]]:
    """Read all results from the cache, under the names they have in this run.

    Returns:
        The records, and a line about those that are missing though nothing went wrong: on several
        machines, the folder may be another one on each.
    """
    cache = Cache(plan.cache)
    records, missing = [], []
    for one in wanted:
        record = cache.read(one.key)
        if record is None:
            missing.append(one)
        else:
            records.append(replace(record, photo=one.photo, entry=one.entry, model=one.model))
    failed = {failure.photo for failure in failures}
    lost = [one for one in missing if one.photo not in failed]
    if not lost:
        return records, []
    return records, [
        f"{len(lost)} results that were made are not in {cache.folder}, such as {lost[0].entry} of "
        f"{lost[0].photo}; with several machines, give --cache a folder that all of them share"
    ]


def report(
    options: Options, plan: Plan, photos: int, records: list[Record], seconds: float
) -> None:
    """Write the report, hand it to Weights & Biases, and show the main figures."""
    from sss.evaluation.report.write import write_report

    context = describe_run(
        command=shlex.join(["python", Path(sys.argv[0]).name, *sys.argv[1:]]),
        data=options.data,
        split=options.split,
        photos=photos,
        seconds=seconds,
        plan=plan,
    )
    write_report(options.out, records, plan.cache, context)
    summaries = summarise(records, context.order, options.seed)
    print(results_text(summaries))
    print(options.out / "index.html")
    track(options.wandb, options.project, options.out, context, records, summaries)
