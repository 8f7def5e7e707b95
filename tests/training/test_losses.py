"""The loss of one photo: any part by name, safe and repeatable on samples of any kind."""

import pickle
from typing import Any

import pytest
import torch
from pytorch_metric_learning.losses import TripletMarginLoss
from torch import Tensor

from sss.errors import InputError
from sss.training.config import LossConfig, PartConfig
from sss.training.loss_parts import OWN_LOSSES, REFUSED, library_names, part_names
from sss.training.losses import THINNED, PixelLoss, build_loss, thin

NEEDED: dict[str, dict[str, Any]] = {
    "RankedListLoss": {"margin": 0.4, "Tn": 4},
    "ThresholdReducer": {"low": 0.1},
}
# The one on dense maps has tests of its own.
LOSS_NAMES = [name for name in part_names("loss") if name != "affinity"]
# A loss that each part of the library goes with.
PARTNERS = {"LpDistance": "ContrastiveLoss", "DivisorReducer": "MarginLoss"}


def embeddings_of(n: int, dim: int, seed: int = 0) -> Tensor:
    return 2 * torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))


def loss_named(name: str) -> PixelLoss:
    return build_loss(LossConfig(name, options=NEEDED.get(name, {})))


def value_and_gradient(loss: PixelLoss, vectors: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    leaf = vectors.clone().requires_grad_()
    torch.manual_seed(3)
    value = loss(leaf, labels)
    value.backward()
    assert leaf.grad is not None
    return value.detach(), leaf.grad


@pytest.mark.parametrize("kind", ["loss", "miner", "distance", "reducer"])
def test_what_is_refused_exists(kind: str) -> None:
    assert set(REFUSED[kind]) <= set(library_names(kind))
    assert len(part_names(kind)) >= 4


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_every_loss_runs(name: str) -> None:
    vectors, labels = embeddings_of(30, 8), torch.arange(30) % 3
    value, gradient = value_and_gradient(loss_named(name), vectors, labels)
    assert value.shape == ()
    assert value.dtype == torch.float32
    assert value.isfinite()
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 0


@pytest.mark.parametrize("kind", ["miner", "distance", "reducer"])
def test_every_other_part_runs(kind: str) -> None:
    vectors, labels = embeddings_of(30, 8), torch.arange(30) % 3
    for name in part_names(kind):
        part = PartConfig(name, NEEDED.get(name, {}))
        loss = build_loss(LossConfig(PARTNERS.get(name, "ContrastiveLoss"), **{kind: part}))
        value, gradient = value_and_gradient(loss, vectors, labels)
        assert value.isfinite(), name
        assert gradient.isfinite().all(), name
        assert gradient.abs().max() > 0, name


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, refused in REFUSED.items() for name in refused]
)
def test_every_refusal_says_why(kind: str, name: str) -> None:
    config = LossConfig(name) if kind == "loss" else LossConfig(**{kind: PartConfig(name)})
    with pytest.raises(InputError, match=f"'{name}' cannot be used here: it ") as caught:
        build_loss(config)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", LOSS_NAMES)
@pytest.mark.parametrize(
    ("vectors", "labels"),
    [
        pytest.param(embeddings_of(9, 4), torch.zeros(9, dtype=torch.long), id="one-label"),
        pytest.param(embeddings_of(1, 4), torch.zeros(1, dtype=torch.long), id="one"),
        pytest.param(torch.empty(0, 4), torch.empty(0, dtype=torch.long), id="none"),
        pytest.param(6e4 * torch.ones(9, 4).half(), torch.zeros(9).long(), id="sum-overflows"),
    ],
)
def test_fewer_than_two_labels_cost_nothing(name: str, vectors: Tensor, labels: Tensor) -> None:
    value, gradient = value_and_gradient(loss_named(name), vectors, labels)
    assert value == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("name", LOSS_NAMES)
@pytest.mark.parametrize(
    ("vectors", "labels"),
    [
        pytest.param(torch.ones(12, 4), torch.arange(12) % 2, id="identical"),
        pytest.param(torch.zeros(12, 4), torch.arange(12) % 2, id="zero"),
        pytest.param(1e4 * embeddings_of(12, 4), torch.arange(12) % 2, id="far"),
        pytest.param(embeddings_of(5, 4), torch.arange(5), id="one-of-each"),
        pytest.param(embeddings_of(2, 4), torch.arange(2), id="two"),
        pytest.param(embeddings_of(9, 4), torch.tensor([0] * 8 + [5]), id="one-alone"),
    ],
)
def test_odd_samples_give_finite_losses_and_gradients(
    name: str, vectors: Tensor, labels: Tensor
) -> None:
    value, gradient = value_and_gradient(loss_named(name), vectors, labels)
    assert value.isfinite()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", LOSS_NAMES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_raised_to_single(name: str, dtype: torch.dtype) -> None:
    loss, labels = loss_named(name), torch.arange(24) % 3
    half = (20 * embeddings_of(24, 8)).to(dtype)
    expected, _ = value_and_gradient(loss, half.float(), labels)
    with torch.autocast("cpu", torch.bfloat16):
        value, gradient = value_and_gradient(loss, half, labels)
    assert value.dtype == torch.float32
    assert value == expected
    assert gradient.isfinite().all()


# N-pairs chooses vectors at random, so it depends on the order they come in.
@pytest.mark.parametrize("name", [name for name in LOSS_NAMES if name != "NPairsLoss"])
def test_order_and_names_of_labels_do_not_matter(name: str) -> None:
    loss, vectors, labels = loss_named(name), embeddings_of(24, 6), torch.arange(24) % 3
    expected, _ = value_and_gradient(loss, vectors, labels)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(1))
    value, _ = value_and_gradient(loss, vectors[order], torch.tensor([40, 3, 11])[labels[order]])
    assert float(value) == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("name", ["NPairsLoss", "TripletMarginLoss", "NTXentLoss"])
@pytest.mark.slow
def test_equal_seeds_equal_losses(name: str) -> None:
    """300 vectors are so many that each of these sees a random part of them."""
    loss, vectors, labels = loss_named(name), embeddings_of(300, 4), torch.arange(300) % 3
    value, gradient = value_and_gradient(loss, vectors, labels)
    again, same = value_and_gradient(loss, vectors, labels)
    assert value == again
    assert torch.equal(gradient, same)
    torch.manual_seed(4)
    assert loss(vectors, labels) != value


def test_part_of_a_large_sample_is_seen() -> None:
    most = THINNED["AngularLoss"]
    labels = torch.arange(2 * most) % 4
    _, gradient = value_and_gradient(loss_named("AngularLoss"), embeddings_of(2 * most, 4), labels)
    seen = gradient.abs().sum(1) > 0
    assert [int(seen[labels == label].sum()) for label in range(4)] == [most // 4] * 4


def test_a_miner_chooses() -> None:
    """Hardest positive and hardest negative of every anchor (Hermans et al. 2017)."""
    vectors, labels = embeddings_of(12, 3), torch.arange(12) % 3
    unit = vectors / vectors.norm(dim=1, keepdim=True)
    hinges = []
    for a in range(12):
        distances = [float((unit[a] - other).norm()) for other in unit]
        positive = max(d for i, d in enumerate(distances) if labels[i] == labels[a] and i != a)
        negative = min(d for i, d in enumerate(distances) if labels[i] != labels[a])
        hinges.append(max(0.0, positive - negative + 0.05))
    kept = [hinge for hinge in hinges if hinge > 0]
    loss = build_loss(LossConfig("TripletMarginLoss", miner=PartConfig("BatchHardMiner")))
    assert float(loss(vectors, labels)) == pytest.approx(sum(kept) / len(kept), rel=1e-4)


@pytest.mark.parametrize("name", ["modified_npair", "discriminative", "TripletMarginLoss"])
def test_a_miner_that_finds_nothing(name: str) -> None:
    miner = PartConfig("PairMarginMiner", {"pos_margin": 5, "neg_margin": -1})
    loss = build_loss(LossConfig(name, miner=miner))
    value, gradient = value_and_gradient(loss, embeddings_of(12, 3), torch.arange(12) % 3)
    assert value == 0
    assert (gradient == 0).all()


def test_triplets_per_anchor_keeps_its_meaning() -> None:
    loss = build_loss(LossConfig("TripletMarginLoss", options={"triplets_per_anchor": 2}))
    ours, theirs = TripletMarginLoss(triplets_per_anchor=2), embeddings_of(12, 3)
    torch.manual_seed(0)
    value = float(loss(theirs, torch.arange(12) % 3))
    torch.manual_seed(0)
    assert value == float(ours(theirs, torch.arange(12) % 3))


def test_thin() -> None:
    labels = torch.tensor([9, 2, 9, 2, 9, 5, 9, 9])
    torch.manual_seed(0)
    hits = torch.zeros(8)
    for _ in range(500):
        kept = thin(labels, 2)
        assert labels[kept].tolist() == [2, 2, 5, 9, 9]
        assert len(kept.unique()) == len(kept)
        hits[kept] += 1
    assert (hits[labels == 9] / 500 - 2 / 5).abs().max() < 0.11
    assert hits[5] == 500


def test_a_loss_can_be_copied() -> None:
    loss = build_loss(LossConfig("NTXentLoss", miner=PartConfig("MultiSimilarityMiner")))
    vectors, labels = embeddings_of(12, 3), torch.arange(12) % 3
    assert pickle.loads(pickle.dumps(loss))(vectors, labels) == loss(vectors, labels)
    assert not list(loss.parameters())


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (LossConfig("triplet_margin_loss"), r"unknown loss\.name .*did you mean TripletMarginLoss"),
        (LossConfig("modified_npairs"), "did you mean modified_npair"),
        (
            LossConfig("xyz"),
            "known: modified_npair, sigmoid_pair, discriminative, affinity, AngularLoss",
        ),
        (LossConfig(miner=PartConfig("HardMiner")), r"unknown loss\.miner\.name .*BatchHardMiner"),
        (LossConfig(distance=PartConfig("Cosine")), "did you mean CosineSimilarity"),
        (LossConfig(reducer=PartConfig("Mean")), "did you mean MeanReducer"),
        (
            LossConfig("ContrastiveLoss", options={"margin": 1}),
            r"unknown loss\.options\.margin; ContrastiveLoss takes pos_margin, neg_margin$",
        ),
        (
            LossConfig("modified_npair", options={"scale": 1}),
            r"unknown loss\.options\.scale; modified_npair takes no options$",
        ),
        (
            LossConfig("RankedListLoss", options={"margin": 1}),
            r"loss\.options must give Tn; RankedListLoss takes margin, Tn, imbalance",
        ),
        (
            LossConfig("TripletMarginLoss", options={"margin": "wide"}),
            "loss.name 'TripletMarginLoss' does not work: ",
        ),
        (
            LossConfig("CircleLoss", distance=PartConfig("LpDistance")),
            "'CircleLoss' cannot be built: CircleLoss requires the distance .*CosineSimilarity",
        ),
        (
            LossConfig("modified_npair", distance=PartConfig("CosineSimilarity")),
            "cannot be built: a distance is needed, CosineSimilarity is a similarity",
        ),
        (
            LossConfig("discriminative", distance=PartConfig("LpDistance")),
            "'discriminative' takes no distance; leave loss.distance out",
        ),
        (
            LossConfig(reducer=PartConfig("MeanReducer")),
            "'modified_npair' takes no reducer; leave loss.reducer out",
        ),
        (
            LossConfig("discriminative", options={"power": 0}),
            "'discriminative' cannot be built: power is 0, expected 1 or more",
        ),
        (
            LossConfig("ContrastiveLoss", reducer=PartConfig("DivisorReducer")),
            "'ContrastiveLoss' with reducer DivisorReducer does not work: ",
        ),
        (
            LossConfig("TripletMarginLoss", reducer=PartConfig("PerAnchorReducer")),
            "with reducer PerAnchorReducer does not work: Triplet reduction not supported",
        ),
        (
            LossConfig("PNPLoss", miner=PartConfig("BatchHardMiner")),
            "with miner BatchHardMiner does not work: indices_tuple is not supported",
        ),
        (
            LossConfig(miner=PartConfig("BatchEasyHardMiner", {"pos_strategy": "tough"})),
            r"loss\.miner\.name 'BatchEasyHardMiner' cannot be built: pos_strategy must be one",
        ),
        (
            LossConfig("MarginLoss", options={"learn_beta": True}),
            r"unknown loss\.options\.learn_beta",
        ),
    ],
)
def test_what_does_not_work_is_refused_in_one_line(config: LossConfig, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        build_loss(config)
    assert "\n" not in str(caught.value)


def test_checking_draws_no_random_numbers() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    build_loss(LossConfig("NPairsLoss"))
    assert torch.equal(torch.get_rng_state(), before)


def test_own_names() -> None:
    assert list(OWN_LOSSES) == ["modified_npair", "sigmoid_pair", "discriminative", "affinity"]
    assert LossConfig().name in OWN_LOSSES
