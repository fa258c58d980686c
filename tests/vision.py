"""Networks of other libraries, small enough for tests."""

import itertools

import timm
import torch
import torchvision
import transformers
from torch import nn
from torchvision.models.convnext import CNBlockConfig

CLASSES = 5


def _timm(name, **options):
    return timm.create_model(name, num_classes=CLASSES, **options)


def _torchvision(name):
    return torchvision.models.get_model(name, weights=None, num_classes=CLASSES)


def _convnext():
    widths = (8, 16, 24, 32, None)
    blocks = [CNBlockConfig(a, b, 1) for a, b in itertools.pairwise(widths)]
    return torchvision.models.ConvNeXt(blocks, num_classes=CLASSES)


class OwnMLP(nn.Module):
    """A network that somebody wrote: three layers, ReLU as a function."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(10, 24), nn.Linear(24, 24)
        self.last = nn.Linear(24, CLASSES)

    def forward(self, x):
        return self.last(self.second(self.first(x).relu()).relu())


NETWORKS = {
    "torchvision resnet18": lambda: _torchvision("resnet18"),
    "torchvision resnet50": lambda: _torchvision("resnet50"),
    "torchvision convnext": _convnext,
    "torchvision vit": lambda: torchvision.models.VisionTransformer(
        32, 8, num_layers=8, num_heads=2, hidden_dim=32, mlp_dim=48, num_classes=CLASSES
    ),
    "torchvision efficientnet": lambda: _torchvision("efficientnet_b0"),
    "torchvision densenet": lambda: torchvision.models.DenseNet(
        8, (2, 2, 2, 2), 16, num_classes=CLASSES
    ),
    "timm resnet18": lambda: _timm("resnet18"),
    "timm resnet50": lambda: _timm("resnet50"),
    "timm convnext": lambda: _timm("convnext_atto"),
    "timm vit": lambda: _timm(
        "vit_tiny_patch16_224", img_size=32, patch_size=8, embed_dim=32, depth=8, num_heads=2
    ),
    "timm efficientnet": lambda: _timm("efficientnet_b0"),
    "timm densenet": lambda: _timm("densenet121"),
    "hugging face vit": lambda: transformers.ViTForImageClassification(
        transformers.ViTConfig(
            hidden_size=32, num_hidden_layers=8, num_attention_heads=2, intermediate_size=48,
            image_size=32, patch_size=8, num_labels=CLASSES,
        )
    ),
    "hugging face resnet": lambda: transformers.ResNetForImageClassification(
        transformers.ResNetConfig(
            embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 2, 1],
            layer_type="basic", num_labels=CLASSES,
        )
    ),
    "own mlp": OwnMLP,
}  # fmt: skip
"""Functions that make a network with random weights, which come from torch's global state."""


def made(name):
    """Make a network with the same weights each time, in training mode and without dropout."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        network = NETWORKS[name]()
    for part in network.modules():
        for rate in ("p", "drop_prob", "drop_rate", "dropout"):
            if isinstance(getattr(part, rate, None), float):
                setattr(part, rate, 0.0)
    return network.train()


def inputs(name, count=3):
    """A batch that a network takes, in [0, 1]."""
    shape = (
        (10,)
        if name == "own mlp"
        else (3, 32 if " vit" in name else 64, 32 if " vit" in name else 64)
    )
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(1))
