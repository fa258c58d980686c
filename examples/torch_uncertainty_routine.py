"""NoisyMix in torch-uncertainty: its ClassificationRoutine with all its metrics, and our loss.

The routine lacks AugMix, the JSD and mixing inside the network; one method brings them in.
"""

import lightning as L
import torch
import torchvision
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torch_uncertainty.routines import ClassificationRoutine

import nmlib as nm


class NoisyMixRoutine(ClassificationRoutine):
    """A ClassificationRoutine that trains by a scheme; batches are (images in [0, 1], labels)."""

    def __init__(self, net, scheme="noisymix", seed=0, normalise=(0.5, 0.5), **options):
        points = nm.MixPoints(net, nm.suggest_points(net), *normalise)
        # The routine measures `points`; the loss it is given is that of its validation.
        super().__init__(points, loss=nn.CrossEntropyLoss(), **options)
        self.objective = nm.NoisyMixLoss(points, nm.get_scheme(scheme), seed=seed)

    def training_step(self, batch):
        parts = self.objective(*batch)
        self.log("train_loss", parts.total, prog_bar=True)
        return parts.total


def main(train, test, epochs=10, batch_size=128, seed=0):
    """Train on Datasets of (image in [0, 1], label); return the routine's test measures."""
    L.seed_everything(seed)
    net = torchvision.models.resnet18(num_classes=10)
    routine = NoisyMixRoutine(
        net, normalise=(0.29, 0.35), num_classes=10,
        optim_recipe=torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9),
    )  # fmt: skip
    trainer = L.Trainer(max_epochs=epochs, logger=False, enable_checkpointing=False)
    trainer.fit(routine, DataLoader(train, batch_size, shuffle=True, drop_last=True))
    return trainer.test(routine, DataLoader(test, batch_size))[0]


if __name__ == "__main__":
    sets = [nm.load("fashion-mini", split) for split in ("train", "test")]
    train, test = (TensorDataset(s.images.permute(0, 3, 1, 2) / 255, s.labels) for s in sets)
    print(main(train, test))
