"""Pictures of NoisyMix's pieces: laws, mixed and noised feature maps, chains, views and their JSD.

Every display computes its arrays in `from_...`, through the same functions that training calls,
with the network in evaluation mode (batches of two or three have no batch statistics worth
the name); `plot` only draws them.
"""

from nmlib.lab.blocks.displays.mixing import LawDisplay, MixersDisplay, MixingDisplay
from nmlib.lab.blocks.displays.noise import NoiseDisplay
from nmlib.lab.blocks.displays.views import AugMixDisplay, SeverityDisplay, ViewsDisplay, augmix_of

__all__ = [
    "AugMixDisplay",
    "LawDisplay",
    "MixersDisplay",
    "MixingDisplay",
    "NoiseDisplay",
    "SeverityDisplay",
    "ViewsDisplay",
    "augmix_of",
]
