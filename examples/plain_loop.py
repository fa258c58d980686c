"""NoisyMix in a plain PyTorch loop: torchvision's ResNet-18, mixed precision, any DataLoader.

With several processes, wrap the objective: `DistributedDataParallel(objective)`.
"""

import torch
import torchvision
from torch.utils.data import DataLoader, TensorDataset

import nmlib as nm


def main(train, test, epochs=10, batch_size=128, seed=0):
    """Train on `train`, a Dataset of (image in [0, 1], label), and report on `test`."""
    device = nm.default_device()
    torch.manual_seed(seed)  # the network's initial weights
    net = torchvision.models.resnet18(num_classes=10).to(device)
    points = nm.MixPoints(net, nm.suggest_points(net), mean=0.29, std=0.35)
    objective = nm.NoisyMixLoss(points, nm.get_scheme("noisymix"), seed=seed)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    scaler = torch.amp.GradScaler(device.type, enabled=device.type == "cuda")
    order = torch.Generator().manual_seed(seed)
    loader = DataLoader(train, batch_size, shuffle=True, drop_last=True, generator=order)
    for epoch in range(epochs):
        net.train()
        for x, y in loader:
            optimiser.zero_grad()
            with torch.autocast(device.type, enabled=device.type == "cuda"):
                parts = objective(x.to(device), y.to(device))
            scaler.scale(parts.total).backward()
            scaler.step(optimiser)
            scaler.update()
        schedule.step()
        print(f"epoch {epoch}: cross-entropy {parts.ce.item():.3f}, JSD {parts.jsd.item():.3f}")
    net.eval()
    return nm.evaluate_corruptions(points, test, corruptions=["fog", "gaussian_noise"])


if __name__ == "__main__":
    data = nm.load("fashion-mini")
    images = data.images.permute(0, 3, 1, 2) / 255
    report = main(TensorDataset(images, data.labels), nm.load("fashion-mini", "test"))
    print(report.table())
