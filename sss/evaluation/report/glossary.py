"""What the report says of groups and metrics, in a sentence or two each."""

from __future__ import annotations

from sss.metrics.catalogue import DISTANCE_BANDS, METRICS, Group

GROUP_TITLES: dict[Group, str] = {
    "features": "Features",
    "regions": "Layers against regions",
    "instances": "Layers against objects",
    "mattes": "Layers against true mattes",
    "masks": "Cut-outs against masks",
}

GROUP_TEXTS: dict[Group, str] = {
    "features": "Do the features of two pixels say whether they belong together? Measured on "
    "pixels drawn from each photo, before any layer is made.",
    "regions": "Each pixel goes to its strongest layer; the regions so made are compared with "
    "those that people drew.",
    "instances": "Each object of a photo is compared with the one layer that fits it best.",
    "mattes": "The best union of layers is compared with the true alpha, or, of methods that say "
    "which they take for the object, that.",
    "masks": "What a method takes for the object is compared with the mask of what people say the "
    "photo is about; of methods that do not say, the best union of their layers.",
}

ODS_OIS = (
    "ODS: every photo at the one scale that is best for the whole data set by that metric. OIS: "
    "each photo at its own best scale. Intervals: 95 %, bootstrap over photos."
)

PAIRED = (
    "Difference to the reference with its 95 % bootstrap interval; p of the paired permutation "
    "test on the same photos at the ODS scales, two-sided, Holm-corrected over the entries. Bold: "
    "p < 0.05."
)

_TEXTS = {
    "pair_auc": "Probability that two pixels of different regions are further apart in the "
    "features than two of the same region; 0.5 is chance.",
    "eer": "Fraction of wrong decisions at the distance where as many pairs are wrongly joined as "
    "wrongly parted.",
    "precision_at_1": "Fraction of pixels whose nearest neighbour in the features is of their "
    "region.",
    "r_precision": "Fraction of a pixel's R nearest neighbours that are of its region, R being the "
    "region's number of pixels drawn.",
    "ami": "Adjusted mutual information of k-means clusters and regions; 0 is chance, 1 equality.",
    "ari": "Adjusted Rand index of k-means clusters and regions; 0 is chance, 1 equality.",
    "covering": "Segmentation covering: how well the best overlapping region covers each true "
    "region (IoU), weighted by area.",
    "pri": "Probabilistic Rand index: fraction of pixel pairs on which the segmentation and the "
    "annotators agree, joined or parted.",
    "vi": "Variation of information, in bits: what one segmentation leaves unknown of the other, "
    "both ways.",
    "boundary_f": "Harmonic mean of boundary precision and boundary recall.",
    "boundary_precision": "Fraction of the boundary pixels found that lie on a true boundary.",
    "boundary_recall": "Fraction of the true boundary pixels that were found.",
    "soft_covering": "Covering by the alphas themselves instead of the strongest layer: soft IoU.",
    "instance_iou": "IoU of each object with what fits it best, mean over objects.",
    "instance_soft_iou": "The same by the alphas: Σ min / Σ max.",
    "recall_50": "Fraction of objects found with an IoU of at least 0.5.",
    "recall_75": "Fraction of objects found with an IoU of at least 0.75.",
    "matte_soft_iou": "Σ min(alpha, truth) / Σ max(alpha, truth).",
    "matte_sad": "Sum of absolute differences to the true alpha, in thousands.",
    "matte_mse": "Mean squared difference to the true alpha.",
    "matte_gradient": "Squared difference of the alphas' smoothed gradients, in thousands "
    "(Rhemann et al., 2009).",
    "matte_connectivity": "How far parts of the matte hang loose compared with the truth, in "
    "thousands (Rhemann et al., 2009).",
    "mask_max_f": "Precision and recall of the map cut at the threshold that is best for all "
    "photos, β² = 0.3 (Achanta et al., 2009).",
    "mask_s": "Structural likeness of object and regions (Fan et al., 2017).",
    "mask_max_e": "Alignment of the map, cut at the threshold that is best for all photos, with "
    "the mask, pixel by pixel and as a whole (Fan et al., 2018).",
    "mask_mean_e": "The same, mean over all thresholds.",
    "mask_mae": "Mean absolute difference of map and mask.",
}


def explain(metrics: tuple[str, ...]) -> list[tuple[str, str]]:
    """Title and explanation of each metric; those of bands and sizes go with their metric."""
    return [(METRICS[name].title, _TEXTS[name]) for name in metrics if name in _TEXTS]


def explain_bands(group: Group) -> str:
    """What near, small or unknown mean in the titles of further metrics; empty if nothing."""
    if group == "features":
        bounds = [f"{name}: {_share(*ends)}" for name, ends in DISTANCE_BANDS.items()]
        return "Distance of the two pixels, of the photo's diagonal: " + ", ".join(bounds) + "."
    if group == "instances":
        return "Objects are small below 32² pixels, large from 96² on, medium between (COCO)."
    if group == "mattes":
        return "Unknown band: only the pixels that the trimap leaves open."
    return ""


def _share(low: float, high: float) -> str:
    if low <= 0:
        return f"below {100 * high:g} %"
    return f"from {100 * low:g} %" if high > 1 else f"{100 * low:g} to {100 * high:g} %"
