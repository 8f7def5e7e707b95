import pytest

from sss.editing.values import Length, colour, length, lengths, number
from sss.errors import InputError


def test_lengths_in_pixels_and_percent() -> None:
    assert length("blur", "12") == length("blur", 12) == length("blur", "12px") == Length(12)
    assert length("blur", "1.5%") == Length(1.5, percent=True)
    assert Length(1.5, percent=True).pixels(200) == 3
    assert lengths("move", "-20,5%", 2, negative=True) == (Length(-20), Length(5, percent=True))
    assert lengths("move", [1, "2%"], 2) == (Length(1), Length(2, percent=True))
    assert [length("x", one).plain() for one in ("3", "4%")] == [3, "4%"]


@pytest.mark.parametrize("value", ["x", "", "3 cm", "-2", True, None, "1e400", "nan", [1]])
def test_what_is_no_length(value: object) -> None:
    with pytest.raises(InputError, match=r"blur is .*expected (pixels|0 or more)"):
        length("blur", value)


def test_numbers_within_bounds() -> None:
    assert number("hue", "-90", -180, 180) == -90
    for value in ("x", True, None, float("nan"), 181, [3]):
        with pytest.raises(InputError, match=r"hue is .*expected a number from -180 to 180"):
            number("hue", value, -180, 180)


def test_colours() -> None:
    assert colour("recolor", "#ff8000") == (1, 128 / 255, 0)
    assert colour("recolor", "teal") == (0, 128 / 255, 128 / 255)
    with pytest.raises(InputError, match="recolor is 'tea', expected a colour"):
        colour("recolor", "tea")


def test_another_count() -> None:
    with pytest.raises(InputError, match=r"move is '1,2,3', expected 2 numbers such as 320,240"):
        lengths("move", "1,2,3", 2)
    with pytest.raises(InputError, match="box is '3', expected 4 numbers"):
        lengths("box", 3, 4)
