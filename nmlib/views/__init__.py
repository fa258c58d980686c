"""View makers turn samples (B, ...) into views (V, B, ...)."""

from nmlib.views._augmax import AugMax, AugMaxDraw, hardest_mixture
from nmlib.views._augmix import Augmented, AugMix
from nmlib.views._chains import check_images, run_chains, trusted_images
from nmlib.views._plain import Plain
from nmlib.views._plan import OPERATIONS, AugMixPlan, operation_parameter
from nmlib.views._resized_crop import RandomResizedCrop

__all__ = [
    "OPERATIONS",
    "AugMax",
    "AugMaxDraw",
    "AugMix",
    "AugMixPlan",
    "Augmented",
    "Plain",
    "RandomResizedCrop",
    "check_images",
    "hardest_mixture",
    "operation_parameter",
    "run_chains",
    "trusted_images",
]
