"""The corruptions of CIFAR-C and ImageNet-C: batched, seeded, on any device."""

from typing import TYPE_CHECKING

from nmlib._on_demand import on_demand
from nmlib.corruptions._severities import (
    CORRUPTIONS,
    EXTRA_CORRUPTIONS,
    FAMILIES,
    PERTURBATIONS,
    SEQUENCES,
    SEVERITIES,
    Benchmark,
    outdated,
)

if TYPE_CHECKING:
    from nmlib.corruptions._api import (
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
        frame_count,
        frames_are_independent,
        perturbation_sequence,
    )
    from nmlib.corruptions._registry import Corruption
else:
    __getattr__, __dir__ = on_demand(
        __name__,
        {
            "nmlib.corruptions._api": (
                "SMALLEST_SIDE apply_corruption corrupt draw_corruption find_corruption"
            ),
            "nmlib.corruptions._draws": (
                "AngleDraw ElasticDraw FieldDraw FogDraw FrostDraw GlassDraw SnowDraw"
            ),
            "nmlib.corruptions._frost_textures": (
                "FROST_PHOTOGRAPHS draw_frost_textures frost_name read_frost_photographs"
            ),
            "nmlib.corruptions._perturbations": (
                "frame_count frames_are_independent perturbation_sequence"
            ),
            "nmlib.corruptions._registry": "Corruption",
        },
    )

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
