"""SimCLR from image files in PyTorch, as one writes it with lightly and torchvision: `run.py --photos` starts it.

A batch's files are opened, decoded, cut to two random views with Fledge's distributions, and trained on.
"""

import argparse
import warnings

import torch

try:
    import torchvision
except RuntimeError:
    # A wheel for another accelerator cannot load its operators here. The transforms need none of them, but torchvision
    # itself describes these two.
    operators = torch.library.Library("torchvision", "FRAGMENT")
    for name in ["nms", "qnms"]:
        operators.define(f"{name}(Tensor boxes, Tensor scores, float threshold) -> Tensor")
warnings.filterwarnings("ignore")

from lightly.data import LightlyDataset
from lightly.loss import NTXentLoss
from lightly.models.modules import SimCLRProjectionHead
from lightly.transforms import SimCLRTransform

from pytorch import SmallConv


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--size", type=int, default=64, help="side of the views")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--workers", type=int, default=0, help="processes that prepare batches")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    # No blur at this size, as in Fledge and in the paper's own runs on small pictures.
    views = SimCLRTransform(input_size=options.size, cj_strength=0.5, min_scale=0.2, gaussian_blur=0)
    loader = torch.utils.data.DataLoader(
        LightlyDataset(options.folder, transform=views), options.batch, shuffle=True, drop_last=True,
        num_workers=options.workers, persistent_workers=options.workers > 0)
    network = torch.nn.Sequential(SmallConv(3), SimCLRProjectionHead(256, 256, 64))
    network.to(memory_format=torch.channels_last)
    loss = NTXentLoss(temperature=0.5)
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3, fused=True)
    done = 0
    while done < options.steps:
        for (first, second), _, _ in loader:
            both = torch.cat([first, second]).contiguous(memory_format=torch.channels_last)
            value = loss(*network(both).chunk(2))
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            done += 1
            if done == options.steps:
                break
    print(f"loss {value.item():.4f}")


if __name__ == "__main__":
    main()
