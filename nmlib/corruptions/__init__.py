"""The corruptions of CIFAR-C and ImageNet-C: batched, seeded, on any device."""

from nmlib.corruptions._api import (
    CORRUPTIONS,
    EXTRA_CORRUPTIONS,
    SMALLEST_SIDE,
    apply_corruption,
    corrupt,
    draw_corruption,
    find_corruption,
)
from nmlib.corruptions._draws import (
    AngleDraw,
    ElasticDraw,
    FieldDraw,
    FogDraw,
    FrostDraw,
    GlassDraw,
    SnowDraw,
)
from nmlib.corruptions._frost_textures import (
    FROST_PHOTOGRAPHS,
    draw_frost_textures,
    frost_name,
    read_frost_photographs,
)
from nmlib.corruptions._perturbations import (
    PERTURBATIONS,
    SEQUENCES,
    frame_count,
    frames_are_independent,
    outdated,
    perturbation_sequence,
)
from nmlib.corruptions._registry import Corruption
from nmlib.corruptions._severities import FAMILIES, SEVERITIES, Benchmark

__all__ = [
    "CORRUPTIONS",
    "EXTRA_CORRUPTIONS",
    "FAMILIES",
    "FROST_PHOTOGRAPHS",
    "PERTURBATIONS",
    "SEQUENCES",
    "SEVERITIES",
    "SMALLEST_SIDE",
    "AngleDraw",
    "Benchmark",
    "Corruption",
    "ElasticDraw",
    "FieldDraw",
    "FogDraw",
    "FrostDraw",
    "GlassDraw",
    "SnowDraw",
    "apply_corruption",
    "corrupt",
    "draw_corruption",
    "draw_frost_textures",
    "find_corruption",
    "frame_count",
    "frames_are_independent",
    "frost_name",
    "outdated",
    "perturbation_sequence",
    "read_frost_photographs",
]
