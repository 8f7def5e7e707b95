"""One photo: what is kept of it is read, what is missing is made."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby

import numpy as np

from sss.errors import describe_failure
from sss.evaluation.cache import Cache, CacheError
from sss.evaluation.methods.base import Case, Method
from sss.evaluation.models import Embedder, Model
from sss.evaluation.open_samples import open_samples
from sss.evaluation.plan import Job, Plan, jobs_of
from sss.evaluation.records import Record
from sss.evaluation.samples import SampleDataset, shrink_sample
from sss.evaluation.thumbnails import photo_picture, segmentation_picture, truth_picture
from sss.metrics.catalogue import WeightedSum
from sss.metrics.embedding_scores import score_embedding
from sss.metrics.layer_scores import LayerScorer
from sss.metrics.pixels import check_finite
from sss.metrics.samples import Sample
from sss.threads import one_thread

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PhotoResult:
    """What came of one photo.

    Attributes:
        records: Of all entries that could be measured, under the names they have in this run.
        made: How many of them the cache did not have.
        failures: What went wrong, a line each that names the photo.
        photo: Its name.
        missing: The entries that could not be measured.
    """

    records: tuple[Record, ...] = ()
    made: int = 0
    failures: tuple[str, ...] = ()
    photo: str = ""
    missing: tuple[str, ...] = ()


def failed_photo(plan: Plan, photo: str, failure: str) -> PhotoResult:
    """The result of a photo of which nothing could be measured."""
    return PhotoResult(failures=(failure,), photo=photo, missing=plan.entries())


class PhotoWork:
    """Does the photos of a run; models are loaded when they are needed first.

    Args:
        plan: Of the run.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.cache = Cache(plan.cache)
        self._embedders: dict[str, Embedder] = {}

    @cached_property
    def _dataset(self) -> SampleDataset:
        return open_samples(**self.plan.data)

    def __call__(self, index: int) -> PhotoResult:
        """Measure all entries on a photo, and keep its pictures for the report.

        Raises:
            InputError: A model cannot be loaded, or results cannot be kept.
        """
        name = self._dataset.name(index)
        try:
            sample = shrink_sample(self._dataset[index], self.plan.max_side)
            self.cache.write_sample(sample.name, photo_picture(sample.photo), truth_picture(sample))
            jobs = list(jobs_of(self.plan, sample))
            records = {job.entry: self.cache.read(job.key) for job in jobs}
        except CacheError:
            raise
        except Exception as error:  # of whatever kind: the other photos shall be done
            return failed_photo(self.plan, name, self._describe(name, error))
        undone = [job for job in jobs if records[job.entry] is None]
        made: dict[str, Record] = {}
        failures: list[str] = []
        for _, group in groupby(undone, lambda job: job.model and job.model.label):
            self._do_group(sample, list(group), made, failures)
        named = []
        for job in jobs:
            record = records[job.entry] or made.get(job.entry)
            if record is not None:  # a kept one may be of another run, with other names
                label = job.model.label if job.model else None
                named.append(replace(record, photo=sample.name, entry=job.entry, model=label))
        had = {record.entry for record in named}
        missing = tuple(job.entry for job in jobs if job.entry not in had)
        return PhotoResult(tuple(named), len(made), tuple(failures), name, missing)

    def _do_group(
        self, sample: Sample, jobs: list[Job], made: dict[str, Record], failures: list[str]
    ) -> None:
        """The jobs of one model, or those without: they share a case."""
        model = jobs[0].model
        embedder = self._embedder(model) if model else None
        with one_thread():
            case = Case(
                sample.photo / 255.0,
                mattes=sample.mattes,
                seed=self.plan.seed,
                instances=sample.instances,
                name=sample.name,
            )
            if embedder and model:
                try:
                    case.embedding = embedder(sample)
                    check_finite(case.embedding)
                except Exception as error:
                    failures.append(self._describe(f"{sample.name}, {model.label}", error))
                    return
            for job in jobs:
                try:
                    made[job.entry] = self._do_job(sample, case, job)
                except CacheError:
                    raise
                except Exception as error:
                    failures.append(self._describe(f"{sample.name}, {job.entry}", error))

    def _do_job(self, sample: Sample, case: Case, job: Job) -> Record:
        if job.method is None:
            scores = score_embedding(case.pixel_embedding, sample.regions, self.plan.seed)
            record = _record(sample, job, [0.0], {name: [one] for name, one in scores.items()})
            self.cache.write(record)
            return record
        record, pictures = _segment(sample, case, job, job.method)
        self.cache.write(record, pictures)
        return record

    def _embedder(self, model: Model) -> Embedder:
        if model.label not in self._embedders:
            self._embedders[model.label] = model.open(self.plan.device)
        return self._embedders[model.label]

    def _describe(self, what: str, error: Exception) -> str:
        log.debug("%s: where it happened", what, exc_info=True)
        return describe_failure(what, error)


def _segment(sample: Sample, case: Case, job: Job, method: Method) -> tuple[Record, np.ndarray]:
    """Segment at all scales; the record, and the thumbnails below each other.

    Each segmentation is measured and drawn before the next: all of them would take too much memory.
    """
    scorer = LayerScorer(sample)
    sums: dict[str, list[WeightedSum]] = {}
    layers, seconds, pictures = [], [], []
    for segmentation in method.segment(case):
        alpha = segmentation.alpha
        found = (segmentation.labels, alpha, segmentation.foreground)
        for name, one in scorer.score(*found).items():
            sums.setdefault(name, []).append(one)
        for name, several in scorer.score_thresholds(*found).items():
            sums.setdefault(name, []).extend(several)
        layers.append(len(np.unique(segmentation.labels)) if alpha is None else alpha.shape[2])
        seconds.append(round(float(segmentation.seconds), 4))
        pictures.append(segmentation_picture(segmentation, sample.photo))
    scales = [float(scale) for scale in method.scales]
    if len(seconds) != len(scales):
        raise ValueError(f"{len(seconds)} results for {len(scales)} scales")
    record = _record(sample, job, scales, sums)
    return replace(record, layers=layers, seconds=seconds), np.concatenate(pictures)


def _record(
    sample: Sample, job: Job, scales: list[float], sums: dict[str, list[WeightedSum]]
) -> Record:
    return Record(
        photo=sample.name,
        entry=job.entry,
        kind="features" if job.method is None else "layers",
        model=job.model.label if job.model else None,
        method=job.method.name if job.method else None,
        scales=scales,
        sums=sums,
        settings=job.settings,
        key=job.key,
    )
