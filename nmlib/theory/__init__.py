"""Theorems 1 to 3 in numbers: exact expected losses, their expansions, the adversarial bound."""

from nmlib.theory.adversarial import AdversarialBound, Assumption, adversarial_bound, kink_distance
from nmlib.theory.exact import nfm_loss_exact, stability_loss_exact
from nmlib.theory.example import (
    MeterReading,
    Problem,
    example_problem,
    formula_network,
    meter_reading,
)
from nmlib.theory.expansion import (
    Expansion,
    Term,
    divergence_expansion,
    nfm_expansion,
    slope,
    stability_expansion,
)
from nmlib.theory.inputs import (
    AccuracyWarning,
    NonSmoothWarning,
    at_point,
    effective_levels,
    nonsmooth_operations,
)
from nmlib.theory.monte_carlo import (
    MonteCarloLoss,
    nfm_loss_monte_carlo,
    stability_loss_monte_carlo,
)
from nmlib.theory.quadrature import mixing_moments

__all__ = [
    "AccuracyWarning",
    "AdversarialBound",
    "Assumption",
    "Expansion",
    "MeterReading",
    "MonteCarloLoss",
    "NonSmoothWarning",
    "Problem",
    "Term",
    "adversarial_bound",
    "at_point",
    "divergence_expansion",
    "effective_levels",
    "example_problem",
    "formula_network",
    "kink_distance",
    "meter_reading",
    "mixing_moments",
    "nfm_expansion",
    "nfm_loss_exact",
    "nfm_loss_monte_carlo",
    "nonsmooth_operations",
    "slope",
    "stability_expansion",
    "stability_loss_exact",
    "stability_loss_monte_carlo",
]
