"""NoisyMix, live: the loss, the toy lab, the checks (arXiv 2202.01263)."""

from nmlib.data import make_polygon_band
from nmlib.doctor import doctor
from nmlib.losses import LossParts, jensen_shannon_divergence, noisymix_loss, soft_cross_entropy
from nmlib.mixing import CutMix, Mixup, Pair, mix, mix_labels
from nmlib.models import StagedModel, mlp
from nmlib.noise import Noise, NoiseDraw, inject
from nmlib.objective import batch_loss
from nmlib.rng import Rng, default_device
from nmlib.schemes import FIG4, READINGS, Scheme, fig4_schemes
from nmlib.views import Plain

__version__ = "0.1.0"

__all__ = [
    "FIG4",
    "READINGS",
    "CutMix",
    "LossParts",
    "Mixup",
    "Noise",
    "NoiseDraw",
    "Pair",
    "Plain",
    "Rng",
    "Scheme",
    "StagedModel",
    "batch_loss",
    "default_device",
    "doctor",
    "fig4_schemes",
    "inject",
    "jensen_shannon_divergence",
    "make_polygon_band",
    "mix",
    "mix_labels",
    "mlp",
    "noisymix_loss",
    "soft_cross_entropy",
]
