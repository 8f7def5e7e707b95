import time

import numpy as np
import pytest

from sss.data.pairs import PairSurvey, require_pairs, survey_pairs
from sss.errors import InputError

Sample = tuple[np.ndarray, np.ndarray]


def sample(*annotators: list[int]) -> Sample:
    return np.zeros((1, len(annotators[0]), 3), np.uint8), np.array(annotators, np.int32)[:, None]


MASK, ONE, TWO, NONE = sample([0, -1, 0]), sample([5, 5, 5]), sample([1, -1, 2]), sample([-1] * 3)
SECOND_SEES_TWO = sample([1, 1, 1], [1, 2, 2])


def test_counts_by_hand() -> None:
    survey = survey_pairs([MASK, ONE, TWO, NONE, SECOND_SEES_TWO])
    assert survey == PairSurvey(looked_at=5, with_pairs=2, masks=2)
    assert survey.few
    assert str(survey).startswith("2 of 5 photos")
    assert not survey_pairs([TWO, MASK]).few


@pytest.mark.parametrize(
    ("photos", "advice"),
    [
        ([MASK, MASK], "store 1 in place of 255"),
        ([NONE], "masks of 0 and 255"),
        ([ONE, ONE], "a number of its own"),
        ([MASK, ONE], "a number of its own"),
    ],
)
def test_none_is_refused(photos: list[Sample], advice: str) -> None:
    with pytest.raises(InputError, match=rf"mine: none of {len(photos)} photos .*{advice}"):
        require_pairs("mine", photos)
    assert require_pairs("mine", [*photos, TWO]).with_pairs == 1


def test_photos_are_spread_and_time_is_bounded() -> None:
    seen = []

    class Slow:
        def __len__(self) -> int:
            return 1000

        def __getitem__(self, index: int) -> Sample:
            seen.append(index)
            time.sleep(0.01)
            return MASK

    assert survey_pairs(Slow(), photos=7, seconds=60).looked_at == 7
    assert sorted(seen) == [0, 166, 333, 499, 666, 832, 999]
    seen.clear()
    survey = survey_pairs(Slow(), photos=1000, seconds=0.1)
    assert 1 <= survey.looked_at <= 11
    assert max(seen) - min(seen) > 400  # from all over the set, wherever it stopped
