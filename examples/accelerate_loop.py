"""NoisyMix with Accelerate: `accelerate launch examples/accelerate_loop.py` on any machine.

Accelerate wraps the objective, not the network: the objective is one forward pass of it. Each
process draws for itself.
"""

import timm
import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader, TensorDataset

import nmlib as nm


def main(train, test, epochs=10, batch_size=128, seed=0):
    """Train on `train`, a Dataset of (image in [0, 1], label), and report on `test`."""
    accelerator = Accelerator()
    torch.manual_seed(seed)
    net = timm.create_model("convnext_atto", num_classes=10)
    points = nm.MixPoints(net, nm.suggest_points(net), mean=0.29, std=0.35)
    objective = nm.NoisyMixLoss(points, nm.get_scheme("noisymix"), seed=seed)
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.05)
    loader = DataLoader(train, batch_size, shuffle=True, drop_last=True)
    objective, optimiser, loader = accelerator.prepare(objective, optimiser, loader)
    for epoch in range(epochs):
        objective.train()
        for x, y in loader:
            optimiser.zero_grad()
            loss = objective(x, y).total
            accelerator.backward(loss)
            optimiser.step()
        accelerator.print(f"epoch {epoch}: loss {loss.item():.3f}")
    points.eval()
    return nm.evaluate_corruptions(points, test, corruptions=["fog", "gaussian_noise"])


if __name__ == "__main__":
    data = nm.load("fashion-mini")
    images = data.images.permute(0, 3, 1, 2) / 255
    report = main(TensorDataset(images, data.labels), nm.load("fashion-mini", "test"))
    print(report.table())
