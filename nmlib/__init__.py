"""NoisyMix (arXiv 2202.01263): schemes, training, corruptions, evaluation, theory.

The notebooks' displays and panels are in `nmlib.lab`.
"""

from typing import TYPE_CHECKING

from nmlib._on_demand import on_demand
from nmlib.doctor import doctor

if TYPE_CHECKING:
    import nmlib.paper as paper
    import nmlib.statistics as statistics
    import nmlib.theory as theory
    import nmlib.transforms as transforms
    from nmlib.corruptions import (
        CORRUPTIONS,
        EXTRA_CORRUPTIONS,
        PERTURBATIONS,
        corrupt,
        perturbation_sequence,
    )
    from nmlib.data import ImageData, ImageFolder, LazyImages, load, make_polygon_band
    from nmlib.evaluation import (
        CHECKPOINTS,
        CorruptionReport,
        ImageNetReport,
        PerturbationReport,
        Predictions,
        evaluate,
        evaluate_corruptions,
        evaluate_imagenet,
        evaluate_perturbations,
        load_checkpoint,
        predict,
    )
    from nmlib.finetuning import robust_finetune
    from nmlib.losses import (
        LossParts,
        jensen_shannon_divergence,
        kullback_leibler_divergence,
        noisymix_loss,
        soft_cross_entropy,
    )
    from nmlib.metrics import (
        ReliabilityCurve,
        aurra,
        expected_calibration_error,
        flip_probability,
        mean_corruption_error,
        reliability_curve,
        rms_calibration_error,
    )
    from nmlib.mixing import CutMix, Mixup, Pair, mix, mix_labels
    from nmlib.models import (
        MODELS,
        PRETRAINED,
        MixPoints,
        StagedModel,
        build_model,
        pretrained,
        pretrained_record,
        read_state_dict,
        suggest_points,
    )
    from nmlib.models.mlp import mlp
    from nmlib.noise import Noise, NoiseDraw, inject
    from nmlib.objective import NoisyMixLoss, batch_loss
    from nmlib.puzzlemix import PuzzleMix
    from nmlib.rng import Rng, default_device
    from nmlib.schemes import (
        ABLATION,
        FIG4,
        READINGS,
        SCHEMES,
        Scheme,
        Switches,
        fig4_schemes,
        get_scheme,
        suited,
    )
    from nmlib.training import (
        BUDGETS,
        Budget,
        Execution,
        Recipe,
        Run,
        fit,
        load_model,
        load_weights,
    )
    from nmlib.views import AugMax, Augmented, AugMix, AugMixPlan, Plain
else:
    __getattr__, __dir__ = on_demand(
        __name__,
        {
            "nmlib.corruptions": (
                "CORRUPTIONS EXTRA_CORRUPTIONS PERTURBATIONS corrupt perturbation_sequence"
            ),
            "nmlib.data": "ImageData ImageFolder LazyImages load make_polygon_band",
            "nmlib.evaluation": (
                "CHECKPOINTS CorruptionReport ImageNetReport PerturbationReport Predictions "
                "evaluate evaluate_corruptions evaluate_imagenet evaluate_perturbations "
                "load_checkpoint predict"
            ),
            "nmlib.finetuning": "robust_finetune",
            "nmlib.losses": (
                "LossParts jensen_shannon_divergence kullback_leibler_divergence noisymix_loss "
                "soft_cross_entropy"
            ),
            "nmlib.metrics": (
                "ReliabilityCurve aurra expected_calibration_error flip_probability "
                "mean_corruption_error reliability_curve rms_calibration_error"
            ),
            "nmlib.mixing": "CutMix Mixup Pair mix mix_labels",
            "nmlib.models": (
                "MODELS PRETRAINED MixPoints StagedModel build_model pretrained "
                "pretrained_record read_state_dict suggest_points"
            ),
            "nmlib.models.mlp": "mlp",
            "nmlib.noise": "Noise NoiseDraw inject",
            "nmlib.objective": "NoisyMixLoss batch_loss",
            "nmlib.puzzlemix": "PuzzleMix",
            "nmlib.rng": "Rng default_device",
            "nmlib.schemes": (
                "ABLATION FIG4 READINGS SCHEMES Scheme Switches fig4_schemes get_scheme suited"
            ),
            "nmlib.training": "BUDGETS Budget Execution Recipe Run fit load_model load_weights",
            "nmlib.views": "AugMax Augmented AugMix AugMixPlan Plain",
            "nmlib.paper": "",
            "nmlib.statistics": "",
            "nmlib.theory": "",
            "nmlib.transforms": "",
        },
    )

__version__ = "0.1.0"

__all__ = [
    "ABLATION",
    "BUDGETS",
    "CHECKPOINTS",
    "CORRUPTIONS",
    "EXTRA_CORRUPTIONS",
    "FIG4",
    "MODELS",
    "PERTURBATIONS",
    "PRETRAINED",
    "READINGS",
    "SCHEMES",
    "AugMax",
    "AugMix",
    "AugMixPlan",
    "Augmented",
    "Budget",
    "CorruptionReport",
    "CutMix",
    "Execution",
    "ImageData",
    "ImageFolder",
    "ImageNetReport",
    "LazyImages",
    "LossParts",
    "MixPoints",
    "Mixup",
    "Noise",
    "NoiseDraw",
    "NoisyMixLoss",
    "Pair",
    "PerturbationReport",
    "Plain",
    "Predictions",
    "PuzzleMix",
    "Recipe",
    "ReliabilityCurve",
    "Rng",
    "Run",
    "Scheme",
    "StagedModel",
    "Switches",
    "aurra",
    "batch_loss",
    "build_model",
    "corrupt",
    "default_device",
    "doctor",
    "evaluate",
    "evaluate_corruptions",
    "evaluate_imagenet",
    "evaluate_perturbations",
    "expected_calibration_error",
    "fig4_schemes",
    "fit",
    "flip_probability",
    "get_scheme",
    "inject",
    "jensen_shannon_divergence",
    "kullback_leibler_divergence",
    "load",
    "load_checkpoint",
    "load_model",
    "load_weights",
    "make_polygon_band",
    "mean_corruption_error",
    "mix",
    "mix_labels",
    "mlp",
    "noisymix_loss",
    "paper",
    "perturbation_sequence",
    "predict",
    "pretrained",
    "pretrained_record",
    "read_state_dict",
    "reliability_curve",
    "rms_calibration_error",
    "robust_finetune",
    "soft_cross_entropy",
    "statistics",
    "suggest_points",
    "suited",
    "theory",
    "transforms",
]
