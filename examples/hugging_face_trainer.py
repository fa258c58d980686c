"""NoisyMix in Hugging Face's Trainer: `compute_loss` is the objective, the rest stays.

The image processor must not normalise: views are made of images in [0, 1], and `MixPoints` has
the network's mean and deviation.
"""

import torch
from transformers import Trainer, TrainingArguments, ViTConfig, ViTForImageClassification

import nmlib as nm


class NoisyMixTrainer(Trainer):
    """A Trainer whose training loss is a scheme's."""

    def __init__(self, *args, scheme="noisymix", seed=0, mean=0.5, std=0.5, **options):
        super().__init__(*args, **options)
        self.points = nm.MixPoints(self.model, nm.suggest_points(self.model), mean, std)
        self.objective = nm.NoisyMixLoss(self.points, nm.get_scheme(scheme), seed=seed)

    def compute_loss(self, model, inputs, return_outputs=False, **options):
        x, y = inputs["pixel_values"], inputs["labels"]
        if model.training:
            return self.objective(x, y).total
        logits = self.points(x)
        loss = torch.nn.functional.cross_entropy(logits, y)
        return (loss, {"logits": logits}) if return_outputs else loss


def main(train, test, out, epochs=3, batch_size=64, seed=0):
    """Train on Datasets of {"pixel_values": image in [0, 1], "labels": label}."""
    torch.manual_seed(seed)
    config = ViTConfig(
        image_size=32, patch_size=4, hidden_size=64, num_hidden_layers=6, num_attention_heads=4,
        intermediate_size=128, num_labels=10,
    )  # fmt: skip
    arguments = TrainingArguments(
        out, num_train_epochs=epochs, per_device_train_batch_size=batch_size, seed=seed,
        learning_rate=1e-3, report_to=[], save_strategy="no", remove_unused_columns=False,
    )  # fmt: skip
    net = ViTForImageClassification(config)  # or .from_pretrained(...).train()
    trainer = NoisyMixTrainer(net, arguments, train_dataset=train, eval_dataset=test)
    trainer.train()
    return trainer, trainer.evaluate()


if __name__ == "__main__":
    sets = [nm.load("fashion-mini", split) for split in ("train", "test")]
    train, test = (
        [
            {"pixel_values": image.permute(2, 0, 1) / 255, "labels": label}
            for image, label in zip(s.images, s.labels, strict=True)
        ]
        for s in sets
    )
    trainer, found = main(train, test, "runs/vit")
    print(found, nm.evaluate_corruptions(trainer.points, sets[1], corruptions=["fog"]).table())
