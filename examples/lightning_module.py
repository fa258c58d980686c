"""NoisyMix in Lightning: a module for any network, with a calibration error while it trains.

The number of the next step is part of the objective's state dict, so a run that Lightning resumes
from its own checkpoint goes on with the draws that it would have had.
"""

import lightning as L
import timm
import torch
from torch.utils.data import DataLoader, TensorDataset

import nmlib as nm
from nmlib.metrics import RMSCalibrationError


class NoisyMixModule(L.LightningModule):
    """Train a network by a scheme; batches are (images in [0, 1], labels)."""

    def __init__(self, net, scheme="noisymix", seed=0, **normalise):
        super().__init__()
        self.points = nm.MixPoints(net, nm.suggest_points(net), **normalise)
        self.objective = nm.NoisyMixLoss(self.points, nm.get_scheme(scheme), seed=seed)
        self.calibration = RMSCalibrationError()

    def training_step(self, batch, index):
        parts = self.objective(*batch)
        self.log_dict({"ce": parts.ce, "jsd": parts.jsd}, prog_bar=True)
        return parts.total

    def validation_step(self, batch, index):
        x, y = batch
        self.calibration.update(self.points(x).softmax(1), y)
        self.log("rms_calibration_error", self.calibration)

    def configure_optimizers(self):
        return torch.optim.SGD(self.points.parameters(), lr=0.05, momentum=0.9)


def main(train, test, epochs=10, batch_size=128, seed=0):
    """Train on Datasets of (image in [0, 1], label); return the trainer and the module."""
    L.seed_everything(seed)
    net = timm.create_model("resnet18", num_classes=10)
    module = NoisyMixModule(net, mean=0.29, std=0.35)
    trainer = L.Trainer(max_epochs=epochs, logger=False, enable_checkpointing=False)
    trainer.fit(module, DataLoader(train, batch_size, shuffle=True), DataLoader(test, batch_size))
    return trainer, module


if __name__ == "__main__":
    sets = [nm.load("fashion-mini", split) for split in ("train", "test")]
    train, test = (TensorDataset(s.images.permute(0, 3, 1, 2) / 255, s.labels) for s in sets)
    trainer, module = main(train, test)
    print(trainer.callback_metrics)
    print(nm.evaluate_corruptions(module.points.eval(), sets[1], corruptions=["fog"]).table())
