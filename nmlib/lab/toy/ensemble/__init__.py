"""Many small networks trained at once, each as if it were alone.

C schemes x S seeds of one fully connected network are trained as stacked tensors with gradients
written out by hand (`_gradients`; the tests compare them with `torch.func`). All schemes of a seed
share its initial weights, batches, partners, mix points and noise fields (common random numbers),
so they differ in what the scheme changes only.
"""

from nmlib.lab.toy.ensemble._pools import SEED_BLOCK, symmetric_beta_quantile
from nmlib.lab.toy.ensemble._training import Ensemble

__all__ = ["SEED_BLOCK", "Ensemble", "symmetric_beta_quantile"]
