"""Shapes of procedural scenes: soft masks with a known alpha.

Most shapes are signed distance fields (negative inside, in pixels), which become an alpha by a
ramp of a chosen width; with it the soft band follows the contour exactly. Fur adds thin strokes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sss.data.scene_textures import FloatArray, pixel_grid, smoothstep, value_noise

_EDGE_WIDTHS = (0.5, 8.0)  # width of the soft edge, in pixels
_GLASS_SHARE = 0.06  # of all shapes, how many are semi-transparent throughout
_GLASS_ALPHAS = (0.55, 0.9)


@dataclass(frozen=True)
class _Pose:
    """Where a shape lies: centre in pixels, radius in pixels, rotation in radians."""

    row: float
    column: float
    radius: float
    angle: float


def _random_pose(rng: np.random.Generator, size: tuple[int, int], scale: float) -> _Pose:
    height, width = size
    radius = scale * min(size) * rng.uniform(0.18, 0.5)
    row, column = rng.uniform(0.08, 0.92) * height, rng.uniform(0.08, 0.92) * width
    return _Pose(row, column, max(radius, 1.5), rng.uniform(0.0, 2.0 * np.pi))


def _local_frame(
    rows: FloatArray, columns: FloatArray, pose: _Pose
) -> tuple[FloatArray, FloatArray]:
    """Coordinates (u, v) around the pose's centre, turned by its angle."""
    dy, dx = rows - np.float32(pose.row), columns - np.float32(pose.column)
    cos, sin = np.float32(np.cos(pose.angle)), np.float32(np.sin(pose.angle))
    return dx * cos + dy * sin, dy * cos - dx * sin


def _ellipse_distance(u: FloatArray, v: FloatArray, a: float, b: float) -> FloatArray:
    """First-order signed distance to an ellipse of half-axes ``a`` and ``b``."""
    level: FloatArray = np.hypot(u / np.float32(a), v / np.float32(b))
    slope: FloatArray = np.hypot(u / np.float32(a * a), v / np.float32(b * b))
    gap: FloatArray = level * (level - np.float32(1.0))
    return np.divide(gap, np.maximum(slope, np.float32(1e-6)))


def _ellipse(rng: np.random.Generator, u: FloatArray, v: FloatArray, radius: float) -> FloatArray:
    return _ellipse_distance(u, v, radius, radius * rng.uniform(0.4, 1.0))


def _ring(rng: np.random.Generator, u: FloatArray, v: FloatArray, radius: float) -> FloatArray:
    thickness = radius * rng.uniform(0.18, 0.4)
    middle = radius - 0.5 * thickness
    distance = _ellipse_distance(u, v, middle, middle * rng.uniform(0.65, 1.0))
    return np.abs(distance) - np.float32(0.5 * thickness)


def _rectangle(rng: np.random.Generator, u: FloatArray, v: FloatArray, radius: float) -> FloatArray:
    half_u, half_v = 0.9 * radius, 0.9 * radius * rng.uniform(0.3, 1.0)
    corner = half_v * rng.uniform(0.0, 0.5)
    over_u = np.abs(u) - np.float32(half_u - corner)
    over_v = np.abs(v) - np.float32(half_v - corner)
    outside = np.hypot(np.maximum(over_u, 0.0), np.maximum(over_v, 0.0))
    inside = np.minimum(np.maximum(over_u, over_v), 0.0)
    return outside + inside - np.float32(corner)


@dataclass(frozen=True)
class _Outline:
    """A closed contour r(θ) = radius · (1 + Σ aₖ cos(kθ + φₖ))."""

    radius: float
    amplitudes: NDArray[np.float64]  # (K,)
    phases: NDArray[np.float64]  # (K,)

    @staticmethod
    def draw(rng: np.random.Generator, radius: float, roughness: float) -> _Outline:
        """Draw a contour; its sum of amplitudes stays below 0.55, so r(θ) > 0."""
        orders = np.arange(1, 7)
        amplitudes = roughness * rng.uniform(-1.0, 1.0, orders.size) / orders
        amplitudes *= min(1.0, 0.55 / max(float(np.abs(amplitudes).sum()), 1e-6))
        # The farthest point may lie at 1.55 radii: shrink so that ``radius`` bounds the blob.
        largest = 1.0 + float(np.abs(amplitudes).sum())
        return _Outline(radius / largest, amplitudes, rng.uniform(0.0, 2.0 * np.pi, orders.size))

    def at(self, theta: NDArray[np.floating]) -> tuple[NDArray[np.floating], ...]:
        """Return r(θ) and its derivative r'(θ)."""
        ratio, slope = np.ones_like(theta), np.zeros_like(theta)
        for order, (amplitude, phase) in enumerate(
            zip(self.amplitudes.tolist(), self.phases.tolist(), strict=True), start=1
        ):
            ratio += amplitude * np.cos(order * theta + phase)
            slope -= order * amplitude * np.sin(order * theta + phase)
        return self.radius * ratio, self.radius * slope

    def distance(self, u: FloatArray, v: FloatArray) -> FloatArray:
        """First-order signed distance to the contour."""
        # r(θ) is smooth, so a fine table of angles replaces six cosines at every pixel.
        steps = 1440
        edge, slope = self.at(np.linspace(-np.pi, np.pi, steps, endpoint=False))
        shrink = 1.0 / np.sqrt(1.0 + (slope / edge) ** 2)
        index = ((np.arctan2(v, u) + np.pi) * (steps / (2.0 * np.pi))).astype(np.intp) % steps
        gap = np.hypot(u, v) - edge.astype(np.float32)[index]
        return gap * shrink.astype(np.float32)[index]


def _blob(rng: np.random.Generator, u: FloatArray, v: FloatArray, radius: float) -> FloatArray:
    return _Outline.draw(rng, 1.2 * radius, rng.uniform(0.2, 0.9)).distance(u, v)


def _polygon_distance(u: FloatArray, v: FloatArray, corners: NDArray[np.float64]) -> FloatArray:
    """Exact signed distance to the closed polygon with ``corners`` (K, 2)."""
    nearest = np.full(np.broadcast_shapes(u.shape, v.shape), np.inf, dtype=np.float32)
    inside = np.zeros(nearest.shape, dtype=bool)
    for (x0, y0), (x1, y1) in zip(
        corners.tolist(), np.roll(corners, -1, axis=0).tolist(), strict=True
    ):
        ex, ey = x1 - x0, y1 - y0
        along = ((u - x0) * ex + (v - y0) * ey) / max(ex * ex + ey * ey, 1e-9)
        along = np.clip(along, 0.0, 1.0)
        np.minimum(nearest, (u - x0 - along * ex) ** 2 + (v - y0 - along * ey) ** 2, out=nearest)
        # Even-odd rule: a ray along +u crosses this edge.
        side = (v - y0) * ex - (u - x0) * ey
        inside ^= ((v >= y0) != (v >= y1)) & ((side > 0.0) == (ey > 0.0))
    distance = np.sqrt(nearest)
    return np.where(inside, -distance, distance)


def _polygon(rng: np.random.Generator, u: FloatArray, v: FloatArray, radius: float) -> FloatArray:
    count = int(rng.integers(3, 8))
    angles = (np.arange(count) + rng.uniform(-0.3, 0.3, count)) * (2.0 * np.pi / count)
    lengths = radius * rng.uniform(0.7, 1.0, count)
    corners = np.stack([lengths * np.cos(angles), lengths * np.sin(angles)], axis=1)
    return _polygon_distance(u, v, corners)


def _star(rng: np.random.Generator, u: FloatArray, v: FloatArray, radius: float) -> FloatArray:
    points = int(rng.integers(4, 8))
    angles = np.arange(2 * points) * (np.pi / points)
    lengths = np.where(np.arange(2 * points) % 2 == 0, 1.0, rng.uniform(0.4, 0.7))
    lengths = radius * lengths * rng.uniform(0.9, 1.0, 2 * points)
    corners = np.stack([lengths * np.cos(angles), lengths * np.sin(angles)], axis=1)
    rounding = radius * rng.uniform(0.0, 0.06)
    return _polygon_distance(u, v, corners) - np.float32(rounding)


def _ribbon(rng: np.random.Generator, u: FloatArray, v: FloatArray, radius: float) -> FloatArray:
    """A thick, tapering brush stroke: the union of round-capped segments."""
    t = np.linspace(-1.0, 1.0, 13)
    sway = rng.normal(0.0, 0.28, 2)
    spine_u = radius * t
    spine_v = radius * (sway[0] * np.sin(np.pi * t) + sway[1] * np.cos(1.5 * np.pi * t))
    thickness = radius * rng.uniform(0.1, 0.22) * np.linspace(1.0, rng.uniform(0.2, 1.0), t.size)
    nearest = np.full(np.broadcast_shapes(u.shape, v.shape), np.inf, dtype=np.float32)
    for k in range(t.size - 1):
        x0, y0, h0 = float(spine_u[k]), float(spine_v[k]), float(thickness[k])
        ex, ey = float(spine_u[k + 1]) - x0, float(spine_v[k + 1]) - y0
        along = np.clip(((u - x0) * ex + (v - y0) * ey) / (ex * ex + ey * ey), 0.0, 1.0)
        gap = np.hypot(u - x0 - along * ex, v - y0 - along * ey)
        np.minimum(nearest, gap - (h0 + along * (float(thickness[k + 1]) - h0)), out=nearest)
    return nearest


_DISTANCES: dict[
    str, Callable[[np.random.Generator, FloatArray, FloatArray, float], FloatArray]
] = {
    "ellipse": _ellipse,
    "blob": _blob,
    "polygon": _polygon,
    "star": _star,
    "ring": _ring,
    "rectangle": _rectangle,
    "ribbon": _ribbon,
}
_PROBABILITIES = {"blob": 0.2, "fur": 0.2}  # the other shapes share what is left equally


def _edge_width(rng: np.random.Generator, size: tuple[int, int]) -> float:
    """Log-uniform soft-edge width; small pictures get a narrower widest edge."""
    low, high = _EDGE_WIDTHS
    high = min(high, max(2.0 * low, 0.05 * min(size)))
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _soften(rng: np.random.Generator, distance: FloatArray, width: float) -> FloatArray:
    """Turn signed distances into alpha; the width of some edges changes along the contour."""
    widths: FloatArray | np.float32 = np.float32(width)
    if width > 1.5 and rng.random() < 0.4:
        low, high = _EDGE_WIDTHS
        shape = (distance.shape[0], distance.shape[1])
        factor = 0.3 + 1.4 * value_noise(rng, shape, max(8.0, 0.5 * max(shape)), octaves=1)
        widths = np.clip(width * factor, low, high)
    return smoothstep(0.5 - distance / widths)


def _draw_strokes(
    alpha: FloatArray,
    paths: NDArray[np.float64],
    half_widths: NDArray[np.float64],
    opacities: NDArray[np.float64],
) -> None:
    """Draw strokes into ``alpha`` (H, W) in place, keeping the larger coverage.

    Args:
        alpha: Canvas (H, W).
        paths: (S, P, 2) row and column of P points on each of S strokes, at most 0.7 px apart.
        half_widths: (S, P) in pixels, at most 1.
        opacities: (S, P) in [0, 1].
    """
    height, width = alpha.shape
    points = paths.reshape(-1, 2)
    pixel = np.floor(points).astype(np.intp)
    # A half-width of 1 reaches 1.5 px with its antialiased rim: the 3 × 3 pixels around.
    shifts = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1], indexing="ij"), axis=-1).reshape(-1, 2)
    near = pixel[:, None, :] + shifts  # (S*P, 9, 2)
    # Each point stands for the piece of path half-way to its neighbours: a thin stroke would
    # look like a string of beads if distances were taken to the points themselves.
    step = np.gradient(paths, axis=1).reshape(-1, 2)
    length = np.maximum(np.linalg.norm(step, axis=-1), 1e-9)[:, None]
    heading = step / length
    offset = near + 0.5 - points[:, None, :]
    along = np.abs(offset[..., 0] * heading[:, :1] + offset[..., 1] * heading[:, 1:])
    across = offset[..., 0] * heading[:, 1:] - offset[..., 1] * heading[:, :1]
    gap = np.hypot(np.maximum(along - 0.5 * length, 0.0), across)  # (S*P, 9)
    cover = np.clip(half_widths.reshape(-1, 1) + 0.5 - gap, 0.0, 1.0) * opacities.reshape(-1, 1)
    valid = (cover > 0.0) & (near >= 0).all(axis=-1)
    valid &= (near[..., 0] < height) & (near[..., 1] < width)
    flat = near[..., 0] * width + near[..., 1]
    np.maximum.at(alpha.reshape(-1), flat[valid], cover[valid].astype(np.float32))


def _fur(rng: np.random.Generator, size: tuple[int, int], scale: float) -> FloatArray:
    """A blob with a fringe of thin curved hairs that start inside it and fade at their tips."""
    pose = _random_pose(rng, size, scale)
    outline = _Outline.draw(rng, 1.05 * pose.radius, rng.uniform(0.1, 0.6))
    rows, columns = pixel_grid(size)
    u, v = _local_frame(rows, columns, pose)
    # The skin is a few pixels soft so that hairs grow out of it without a seam.
    skin = min(float(rng.uniform(1.5, 4.0)), 0.3 * pose.radius)
    alpha = smoothstep(0.5 - outline.distance(u, v) / np.float32(skin))

    arc = 2.0 * np.pi if rng.random() < 0.6 else rng.uniform(2.0, 4.5)
    count = int(np.clip(arc * outline.radius * rng.uniform(0.35, 0.9), 6, 420))
    theta = rng.uniform(0.0, 2.0 * np.pi) + arc * rng.random(count)
    edge, _ = outline.at(theta)
    length = min(size) * rng.uniform(0.05, 0.15) * rng.uniform(0.5, 1.2, count)
    t = np.linspace(0.0, 1.0, max(4, int(np.ceil(1.9 * length.max()))))  # (P,)
    comb = rng.normal(0.0, 0.5)  # the whole coat leans to one side
    lean = comb + rng.normal(0.0, 0.25, count)[:, None]
    curl = rng.uniform(0.0, 0.12) * np.sin(
        t * rng.uniform(3.0, 9.0) + rng.uniform(0.0, 2.0 * np.pi, count)[:, None]
    )
    outward = (edge - 0.5 * skin)[:, None] + length[:, None] * t
    sideways = length[:, None] * (lean * t * t + curl * t)
    cos, sin = np.cos(theta + pose.angle)[:, None], np.sin(theta + pose.angle)[:, None]
    paths = np.stack(
        [
            pose.row + outward * sin + sideways * cos,
            pose.column + outward * cos - sideways * sin,
        ],
        axis=-1,
    )  # (S, P, 2)
    root_half_width = rng.uniform(0.5, 1.0, (count, 1))
    half_widths = root_half_width * (1.0 - 0.6 * t)
    opacities = rng.uniform(0.7, 1.0, (count, 1)) * np.clip((1.0 - t) / 0.45, 0.0, 1.0)
    _draw_strokes(alpha, paths, half_widths, opacities)
    return alpha


def _distance_shape(
    rng: np.random.Generator, size: tuple[int, int], scale: float, name: str
) -> FloatArray:
    """Draw a shape given by its signed distance, inside its bounding window only."""
    pose = _random_pose(rng, size, scale)
    width = min(_edge_width(rng, size), 0.8 * pose.radius)
    reach = 1.3 * pose.radius + _EDGE_WIDTHS[1]
    top, bottom = max(0, int(pose.row - reach)), min(size[0], int(pose.row + reach) + 1)
    left, right = max(0, int(pose.column - reach)), min(size[1], int(pose.column + reach) + 1)
    rows, columns = pixel_grid(size)
    u, v = _local_frame(rows[top:bottom], columns[:, left:right], pose)
    alpha = np.zeros(size, dtype=np.float32)
    alpha[top:bottom, left:right] = _soften(rng, _DISTANCES[name](rng, u, v, pose.radius), width)
    return alpha


def ground_shape(rng: np.random.Generator, size: tuple[int, int]) -> FloatArray:
    """Alpha (H, W) of everything below a wavy horizon."""
    rows, columns = pixel_grid(size)
    height, width = size
    x = columns / np.float32(width)
    horizon = rng.uniform(0.35, 0.75) + rng.normal(0.0, 0.1) * (x - 0.5)
    for order in (1, 2, 5):
        sway = rng.normal(0.0, 0.03 / order)
        horizon = horizon + sway * np.sin(2.0 * np.pi * (order * x + rng.random()))
    distance = (np.float32(height) * horizon - rows).astype(np.float32)
    return _soften(rng, distance, _edge_width(rng, size))


def draw_shape(rng: np.random.Generator, size: tuple[int, int], scale: float = 1.0) -> FloatArray:
    """Draw the soft mask of one random shape.

    Args:
        rng: Source of the kind of shape, its place, its size and its softness.
        size: (H, W).
        scale: Factor on the size of the shape.

    Returns:
        Alpha (H, W) float32 in [0, 1]; a part of the shape may lie outside the picture.
    """
    names = [*_DISTANCES, "fur"]
    rest = (1.0 - sum(_PROBABILITIES.values())) / (len(names) - len(_PROBABILITIES))
    name = names[int(rng.choice(len(names), p=[_PROBABILITIES.get(n, rest) for n in names]))]
    alpha = _fur(rng, size, scale) if name == "fur" else _distance_shape(rng, size, scale, name)
    if rng.random() < _GLASS_SHARE:
        alpha *= np.float32(rng.uniform(*_GLASS_ALPHAS))
    return alpha
