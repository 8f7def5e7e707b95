"""What the tests of the networks share."""

from collections.abc import Callable

import pytest

from sss.errors import InputError
from sss.models.base import ModelConfig
from sss.models.registry import build_network

Refused = Callable[[ModelConfig], str]


@pytest.fixture
def refused() -> Refused:
    """Builds a network that cannot be built; gives the one line that says why."""

    def build(config: ModelConfig) -> str:
        with pytest.raises(InputError) as error:
            build_network(config)
        text = str(error.value)
        assert "\n" not in text
        assert len(text) < 500
        return text

    return build
