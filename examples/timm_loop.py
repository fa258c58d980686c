"""NoisyMix as in timm's train.py: its model, optimiser, scheduler, weight average and augmentation.

timm's own mixup and its AugMix splits stay off, and so does `normalize`: NoisyMix makes the views.
"""

import timm
import torch
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from timm.utils import AverageMeter, ModelEmaV3
from torch.utils.data import DataLoader, TensorDataset

import nmlib as nm


def main(train, test, epochs=10, batch_size=128, seed=0):
    """Train on `train`, a Dataset of (image in [0, 1], label), and report on `test`."""
    device = nm.default_device()
    torch.manual_seed(seed)
    net = timm.create_model("efficientnet_b0", num_classes=10, drop_rate=0.2).to(device)
    config = timm.data.resolve_data_config({}, model=net)
    normalise = {"mean": config["mean"], "std": config["std"]}
    points = nm.MixPoints(net, nm.suggest_points(net), **normalise)
    objective = nm.NoisyMixLoss(points, nm.get_scheme("noisymix"), seed=seed)
    optimiser = create_optimizer_v2(net, opt="sgd", lr=0.05, weight_decay=5e-4)
    schedule = CosineLRScheduler(optimiser, t_initial=epochs, warmup_t=1, warmup_lr_init=1e-3)
    average = ModelEmaV3(net, decay=0.999)
    loader = DataLoader(train, batch_size, shuffle=True, drop_last=True)
    for epoch in range(epochs):
        net.train()
        losses = AverageMeter()
        schedule.step(epoch)
        for x, y in loader:
            loss = objective(x.to(device), y.to(device)).total
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            average.update(net)
            losses.update(loss.item(), len(x))
        print(f"epoch {epoch}: loss {losses.avg:.3f}")
    steady = nm.MixPoints(average.module.eval(), **normalise)
    return nm.evaluate_corruptions(steady, test, corruptions=["fog", "gaussian_noise"])


if __name__ == "__main__":
    data = nm.load("fashion-mini")
    images = data.images.permute(0, 3, 1, 2) / 255
    report = main(TensorDataset(images, data.labels), nm.load("fashion-mini", "test"))
    print(report.table())
