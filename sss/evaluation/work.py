"""One photo: which results are missing, and how they are made."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import numpy as np

from sss.evaluation.cache import Cache
from sss.evaluation.methods.base import Case, Segmentation
from sss.evaluation.models import Features, Model
from sss.evaluation.open_samples import open_samples
from sss.evaluation.plan import Job, Plan, jobs_of
from sss.evaluation.records import Figure, Record
from sss.evaluation.samples import Sample, SampleDataset
from sss.evaluation.shrinking import shrink
from sss.evaluation.thumbnails import photo_picture, segmentation_picture, strip, truth_picture
from sss.metrics.feature_scores import score_features
from sss.metrics.layer_scores import score_layers
from sss.metrics.mattes import score_mattes
from sss.processes import describe_failure
from sss.threads import one_thread

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wanted:
    """A result that a run wants.

    Attributes:
        photo: Name of the photo.
        entry: Row of the tables.
        model: Label of the model, if it has one.
        key: Of the result in the cache.
        there: Whether the cache had it when the run began.
    """

    photo: str
    entry: str
    model: str | None
    key: str
    there: bool


@dataclass(frozen=True)
class Looked:
    """What is known of a photo before the work: what it wants, or why it cannot be used."""

    wanted: tuple[Wanted, ...] = ()
    failure: str | None = None

    @property
    def missing(self) -> int:
        """How many results are to be made."""
        return sum(not wanted.there for wanted in self.wanted)


class PhotoWork:
    """Does the photos of a run; models are loaded when they are needed first.

    Args:
        plan: Of the run.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.cache = Cache(plan.cache)
        self._sources: dict[str, Features] = {}

    @cached_property
    def _dataset(self) -> SampleDataset:
        return open_samples(**self.plan.data)

    def name(self, index: int) -> str:
        """Name of a photo."""
        return self._dataset.name(index)

    def look(self, index: int) -> Looked:
        """Find out what is there of a photo, and keep its pictures for the report."""
        try:
            sample = self._sample(index)
            self.cache.write_sample(sample.name, photo_picture(sample.photo), truth_picture(sample))
            wanted = []
            for job in jobs_of(self.plan, sample):
                label = job.model.label if job.model else None
                there = self.cache.read(job.key) is not None
                wanted.append(Wanted(sample.name, job.entry, label, job.key, there))
            return Looked(tuple(wanted))
        except Exception as error:  # of whatever kind: the other photos shall be done
            return Looked(failure=self._describe(self.name(index), error))

    def do(self, index: int) -> list[str]:
        """Make all missing results of a photo; what went wrong comes back, a line each.

        Raises:
            InputError: A model cannot be loaded.
        """
        try:
            sample = self._sample(index)
            jobs = [j for j in jobs_of(self.plan, sample) if self.cache.read(j.key) is None]
        except Exception as error:
            return [self._describe(self.name(index), error)]
        failures = []
        for _, group in groupby(jobs, lambda job: job.model and job.model.label):
            failures += self._do_group(sample, list(group))
        return failures

    def _do_group(self, sample: Sample, jobs: list[Job]) -> list[str]:
        """The jobs of one model, or those without: they share a case."""
        model = jobs[0].model
        source = self._source(model) if model else None
        failures = []
        with one_thread():
            case = Case(sample.photo / 255.0, mattes=sample.mattes, seed=self.plan.seed)
            if source and model:
                try:
                    case.features = source(sample)
                except Exception as error:
                    return [self._describe(f"{sample.name}, {model.label}", error)]
            for job in jobs:
                try:
                    self._do_job(sample, case, job)
                except Exception as error:
                    failures.append(self._describe(f"{sample.name}, {job.entry}", error))
        return failures

    def _do_job(self, sample: Sample, case: Case, job: Job) -> None:
        if job.method is None:
            assert case.features is not None
            scores = score_features(case.features, sample.regions, self.plan.seed)
            figures = {metric: [figure] for metric, figure in scores.items()}
            record = self._record(sample, job, [0.0], figures)
            self.cache.write(record)
            return
        scales = [float(scale) for scale in job.method.scales]
        observer = Observer(sample)
        figures = score_layers(sample, observer.watch(job.method.segment(case)))
        record = self._record(sample, job, scales, {**figures, **observer.mattes})
        record.layers, record.seconds = observer.layers, observer.seconds
        if len(record.seconds) != len(scales):
            raise ValueError(f"{len(record.seconds)} results for {len(scales)} scales")
        self.cache.write(record, strip(observer.pictures))

    def _record(
        self, sample: Sample, job: Job, scales: list[float], figures: dict[str, list[Figure]]
    ) -> Record:
        return Record(
            photo=sample.name,
            entry=job.entry,
            kind=job.kind,
            model=job.model.label if job.model else None,
            method=job.method.name if job.method else None,
            scales=scales,
            figures=figures,
            settings=job.settings,
            key=job.key,
        )

    def _sample(self, index: int) -> Sample:
        return shrink(self._dataset[index], self.plan.max_side)

    def _source(self, model: Model) -> Features:
        if model.label not in self._sources:
            self._sources[model.label] = model.open(self.plan.device)
        return self._sources[model.label]

    def _describe(self, what: str, error: Exception) -> str:
        log.debug("%s: where it happened", what, exc_info=True)
        return describe_failure(what, error)


class Observer:
    """Sees each segmentation once, while others measure it: they are too large to be kept.

    Attributes:
        pictures: One per segmentation, see :mod:`sss.evaluation.thumbnails`.
        layers: Regions or layers of each.
        seconds: Of each.
        mattes: Figures against the true mattes.
    """

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.pictures: list[np.ndarray] = []
        self.layers: list[int] = []
        self.seconds: list[float] = []
        self.mattes: dict[str, list[Figure]] = {}

    def watch(self, segmentations: Iterable[Segmentation]) -> Iterator[Segmentation]:
        """Hand the segmentations through."""
        for segmentation in segmentations:
            alpha = segmentation.alpha
            found = len(np.unique(segmentation.labels)) if alpha is None else alpha.shape[2]
            self.layers.append(found)
            self.seconds.append(round(float(segmentation.seconds), 4))
            self.pictures.append(segmentation_picture(segmentation, self.sample.photo))
            if self.sample.mattes:
                for metric, figures in score_mattes(self.sample.mattes, [segmentation]).items():
                    self.mattes.setdefault(metric, []).extend(figures)
            yield segmentation
