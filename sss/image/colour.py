"""Colour management: what a file's numbers are in sRGB, and the profile they come in.

Everything that says how colours are meant becomes an ICC profile: embedded ones, PNG's chunks,
the code points of HEIF and AVIF, EXIF's note of Adobe RGB. Little CMS converts by it. imagecodecs
hands it 16 bits, of which Pillow's ImageCms knows nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, NamedTuple

import numpy as np

from sss.image.png import profile_of_iccp
from sss.threads import map_threads, slices

Space = Literal["GRAY", "RGB", "CMYK", "LAB"]
"""What samples mean. CMYK: amounts of ink. LAB: float32 L in 0…100, a and b in −128…127."""

_BLOCK_PIXELS = 1 << 18
_PROBE_STEP = 17  # 16 levels per channel, black and white among them
_LEVEL = 257  # of 8 bits, in 16

# Of ITU-T H.273, as PNG's cICP and HEIF's nclx have them: x and y of red, green and blue, of white.
_D65 = (0.3127, 0.3290)
_BT709 = (0.640, 0.330, 0.300, 0.600, 0.150, 0.060)
_PRIMARIES: dict[int, tuple[tuple[float, ...], tuple[float, ...]]] = {
    1: (_BT709, _D65),
    9: ((0.708, 0.292, 0.170, 0.797, 0.131, 0.046), _D65),  # BT.2020
    11: ((0.680, 0.320, 0.265, 0.690, 0.150, 0.060), (0.314, 0.351)),  # DCI-P3
    12: ((0.680, 0.320, 0.265, 0.690, 0.150, 0.060), _D65),  # Display P3
}
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
_HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
_CURVE_POINTS = 1024


class ProfileError(ValueError):
    """A profile that cannot be used; the message continues "its colour profile "."""


class Managed(NamedTuple):
    """Opaque pixels in sRGB and as stored.

    Attributes:
        srgb: (H, W, 3) uint8, uint16 or floats in [0, 1].
        stored: (H, W, 3) in the encoding of ``profile``; None: ``srgb`` is.
        profile: ICC profile of RGB pixels; None is sRGB that nobody has spoken of.
    """

    srgb: np.ndarray
    stored: np.ndarray | None
    profile: bytes | None


def unmanaged(samples: np.ndarray, space: Space) -> Managed:
    """Samples whose file says nothing of colours: as sRGB, inks as if they were ideal."""
    if space == "LAB":  # says all by itself
        lab = _profile("lab")
        return Managed(_transformed(samples, lab, space), None, _profile("srgb"))
    if space == "CMYK":
        full = int(np.iinfo(samples.dtype).max)
        light = np.uint32(full) - samples.astype(np.uint32)  # (H, W, 4)
        rgb = (light[..., :3] * light[..., 3:] + full // 2) // full
        return Managed(rgb.astype(samples.dtype), None, None)
    return Managed(np.broadcast_to(samples, (*samples.shape[:2], 3)), None, None)


def managed(samples: np.ndarray, space: Space, profile: bytes) -> Managed:
    """Convert by a profile.

    Grey, CMYK and Lab are given back in sRGB, since layers are RGB; so ``stored`` is for RGB only,
    and for grey under an RGB profile.

    Args:
        samples: (H, W, C) uint8, uint16 or floats in [0, 1]; Lab: see ``Space``.
        space: What they mean.
        profile: ICC profile.

    Raises:
        ProfileError: It is damaged or for another kind of samples.
    """
    if space == "LAB":
        return unmanaged(samples, space)
    of = profile[16:20].decode("latin-1").strip()  # the data colour space in the header
    if of == "RGB" and space == "GRAY":
        samples, space = np.broadcast_to(samples, (*samples.shape[:2], 3)), "RGB"
    if of != space:
        known = of in ("RGB", "GRAY", "CMYK", "Lab")
        raise ProfileError(f"is for {of} and not {space} pixels" if known else "is damaged")
    if space != "RGB":
        return Managed(_transformed(samples, profile, space), None, _profile("srgb"))
    if _is_srgb(profile):
        return Managed(samples, None, profile)
    return Managed(_transformed(samples, profile, space), samples, profile)


def into_profile(srgb: np.ndarray, profile: bytes | None) -> np.ndarray:
    """Colours of sRGB in the encoding of a profile.

    Args:
        srgb: (H, W, 3) float32 in [0, 1].
        profile: ICC profile of RGB pixels that a photo came with; None is sRGB.

    Returns:
        (H, W, 3) float32 in [0, 1].
    """
    if profile is None or _is_srgb(profile):
        return srgb
    import imagecodecs

    return imagecodecs.cms_transform(
        np.ascontiguousarray(srgb, np.float32),
        _profile("srgb"),
        profile,
        colorspace="rgb",
        outcolorspace="rgb",
        outdtype="float32",
        flags=int(imagecodecs.CMS.FLAGS.NOOPTIMIZE),
    ).clip(0, 1)


def profile_of_png(colours: Mapping[bytes, bytes]) -> bytes | None:
    """The profile that a PNG's chunks speak of, the first of those that the standard puts first.

    Args:
        colours: Bodies of the chunks by name.

    Raises:
        ProfileError: It is damaged or of a kind that has no profile.
    """
    if len(code := colours.get(b"cICP", b"")) == 4:
        return profile_of_code_points(code[0], code[1])
    if (packed := colours.get(b"iCCP")) is not None:
        profile = profile_of_iccp(packed)
        if profile is None:
            raise ProfileError("is damaged")
        return profile
    if b"sRGB" in colours or len(gamma := colours.get(b"gAMA", b"")) != 4:
        return None
    corners = colours.get(b"cHRM", b"")
    corners = corners if len(corners) == 32 else b""
    chromaticities = tuple((np.frombuffer(corners, ">u4") / 100_000).tolist())
    return profile_of_gamma(int.from_bytes(gamma, "big") / 100_000, chromaticities)


def profile_of_gamma(gamma: float, chromaticities: tuple[float, ...] = ()) -> bytes | None:
    """The profile of PNG's gAMA and cHRM; None if they mean sRGB.

    Args:
        gamma: The exponent that made the samples of light, as gAMA has it.
        chromaticities: x and y of white, red, green and blue, as cHRM has them; sRGB's if not 8.

    Raises:
        ProfileError: There are no such colours.
    """
    known = len(chromaticities) == 8
    white, primaries = (chromaticities[:2], chromaticities[2:]) if known else (_D65, _BT709)
    if gamma <= 0:
        raise ProfileError("is damaged")
    # As libpng does: writers of sRGB round to 1/2.2, which is not quite its curve.
    if abs(gamma * 2.2 - 1) < 0.05:
        return None if _near(primaries, _BT709) else _rgb_profile(primaries, white, None)
    return _rgb_profile(primaries, white, 1 / gamma)


def profile_of_code_points(primaries: int, transfer: int) -> bytes | None:
    """The profile of H.273's code points; None if they mean sRGB or nothing.

    Raises:
        ProfileError: They are of high dynamic range, which no conversion to sRGB keeps.
    """
    if transfer in _HDR_TRANSFERS:
        raise ProfileError(f"is of high dynamic range ({_HDR_TRANSFERS[transfer]})")
    if primaries not in _PRIMARIES or (primaries == 1 and transfer not in _GAMMAS):
        return None
    return _rgb_profile(*_PRIMARIES[primaries], _GAMMAS.get(transfer))


def linear_light(samples: np.ndarray, profile: bytes | None) -> np.ndarray:
    """Amounts of light of the primaries of Rec. 709, which are those of sRGB.

    Args:
        samples: (H, W, 3) float32 in [0, 1], in the encoding of ``profile``.
        profile: ICC profile of RGB pixels; None is sRGB.

    Returns:
        (H, W, 3) float32: 1 is white; colours outside sRGB have amounts below 0 or above 1.

    Raises:
        ProfileError: Little CMS cannot use the profile.
    """
    if profile is None:
        power = ((samples + np.float32(0.055)) / np.float32(1.055)) ** np.float32(2.4)
        return np.where(samples <= 0.04045, samples / np.float32(12.92), power)  # IEC 61966-2-1
    import imagecodecs

    try:
        return np.asarray(
            imagecodecs.cms_transform(
                np.ascontiguousarray(samples, np.float32),
                profile,
                _rgb_profile(_BT709, _D65, 1.0),
                colorspace="rgb",
                outcolorspace="rgb",
                outdtype="float32",
                flags=int(imagecodecs.CMS.FLAGS.NOOPTIMIZE),
            )
        )
    except (ValueError, imagecodecs.CmsError) as error:
        raise ProfileError("is damaged") from error


def adobe_rgb() -> bytes:
    """The profile that EXIF means by its option "Adobe RGB"."""
    return _profile("adobergb")


def profile_name(profile: bytes | None) -> str:
    """What a profile calls itself, for people."""
    if profile is None:
        return "sRGB"
    import io

    from PIL import ImageCms

    try:
        return ImageCms.getProfileDescription(io.BytesIO(profile)).strip() or "without a name"
    except (ImageCms.PyCMSError, OSError):
        return "without a name"


def _near(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return bool(np.abs(np.subtract(one, other)).max() < 0.002)


def _rgb_profile(
    primaries: tuple[float, ...], white: tuple[float, ...], gamma: float | None
) -> bytes:
    """An ICC profile; without a gamma its curve is that of sRGB."""
    import imagecodecs

    curve: dict[str, Any]
    if gamma is not None:
        curve = {"gamma": gamma}
    else:
        x = np.linspace(0, 1, _CURVE_POINTS)
        light = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)  # IEC 61966-2-1
        curve = {"transferfunction": light.astype(np.float32)}
    try:
        return bytes(imagecodecs.cms_profile("rgb", whitepoint=white, primaries=primaries, **curve))
    except (ValueError, imagecodecs.CmsError) as error:
        raise ProfileError("is damaged") from error


@cache
def _profile(name: Literal["srgb", "adobergb", "lab"]) -> bytes:
    if name == "lab":
        from PIL import ImageCms

        return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    import imagecodecs

    return _undated(imagecodecs.cms_profile(name))


def _undated(profile: bytes) -> bytes:
    """A new profile without the time of its making, which would make no two results equal."""
    return profile[:24] + bytes(12) + profile[36:]


@cache
def _is_srgb(profile: bytes) -> bool:
    """Whether it changes no colour by a level of 8 bits."""
    levels = np.arange(0, 256, _PROBE_STEP, dtype=np.uint8)
    probe = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(len(levels), -1, 3)
    converted = _transformed(probe, profile, "RGB").astype(np.int32)
    return bool(np.abs(converted - probe.astype(np.int32) * _LEVEL).max() < _LEVEL)


def _transformed(samples: np.ndarray, profile: bytes, space: Space) -> np.ndarray:
    """(H, W, C) in a profile's encoding → (H, W, 3) uint16 sRGB.

    Raises:
        ProfileError: Little CMS cannot use the profile.
    """
    import imagecodecs

    height, width, _ = samples.shape
    if space == "GRAY" and samples.dtype == np.uint8 and height * width > 256:
        every = np.arange(256, dtype=np.uint8)[None, :, None]
        return _transformed(every, profile, space)[0][samples[..., 0]]
    srgb = np.empty((height, width, 3), np.uint16)
    # Little CMS is quick by tables, which are good enough for 8-bit colours: a quarter of a level
    # off; for 16 bits it is six.
    by_tables = samples.dtype == np.uint8 and space != "GRAY"
    flags = 0 if by_tables else int(imagecodecs.CMS.FLAGS.NOOPTIMIZE)
    kind = np.float32 if samples.dtype.kind == "f" else samples.dtype

    def convert(rows: slice) -> None:
        block = np.ascontiguousarray(samples[rows], kind)
        srgb[rows] = imagecodecs.cms_transform(
            block[..., 0] if space == "GRAY" else block,
            profile,
            _profile("srgb"),
            colorspace=space.lower(),
            outcolorspace="rgb",
            outdtype="uint16",
            flags=flags,
        )

    try:
        map_threads(convert, slices(height, max(1, _BLOCK_PIXELS // width)))
    except (ValueError, imagecodecs.CmsError) as error:
        raise ProfileError("is damaged") from error
    return srgb
