"""Golden logits and features of published networks, from torchvision and timm.

    pip install torch torchvision timm safetensors pillow
    python Golden/models.py                          # logits of the stored PNG inputs
    python Golden/models.py --photo PHOTO.jpg        # makes the inputs anew first
    python Golden/models.py --weights FOLDER         # also writes FOLDER/resnet18.safetensors and so on

writes Tests/ModelTests/Fixtures/models.json: for each network the name and shape of every tensor as PyTorch stores it,
and for each input the features and logits. No weights are stored: both sides make them by the formula in `value`, and
the Swift test writes them into a safetensors file in PyTorch's names before it loads them.

Inputs are PNG files of 224 x 224 pixels: a photo (shorter side resized to 256, middle cut out) and a synthetic image.
Preprocessing is that of ImageNet: pixel / 255, minus mean, divided by deviation, per channel.
"""

import argparse
import json
import math
import pathlib

import numpy as np
import torch
from PIL import Image

# Only architectures are used. A torchvision wheel made for another build of torch cannot load its detection operators
# and then stops for want of their declaration, so declare them.
try:
    import torchvision
except RuntimeError:
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(operator + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision
import timm

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "Tests" / "ModelTests" / "Fixtures"
INPUTS = ["photo-224.png", "synthetic-224.png"]
MEAN = [0.485, 0.456, 0.406]
DEVIATION = [0.229, 0.224, 0.225]


def networks():
    yield "resnet18", torchvision.models.resnet18(), "fc"
    yield "resnet50", torchvision.models.resnet50(), "fc"
    yield "vit-tiny", timm.create_model("vit_tiny_patch16_224"), "head"


def noise(name, count):
    """Numbers in [-1, 1) from the name and the index: FNV-1a, a Weyl sequence and the finaliser of MurmurHash3."""
    seed = 0x811C9DC5
    for byte in name.encode():
        seed = (seed ^ byte) * 0x01000193 & 0xFFFFFFFF
    x = np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B9) + np.uint32(seed)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x85EBCA6B)
    x ^= x >> np.uint32(13)
    x *= np.uint32(0xC2B2AE35)
    x ^= x >> np.uint32(16)
    return x.astype(np.float64) / 2.0**31 - 1


def value(name, shape):
    """The tensor of that name: matrices and kernels as He et al. start them, the rest near what training leaves."""
    if name.endswith("num_batches_tracked"):
        return torch.tensor(1000)
    u = noise(name, math.prod(shape)).reshape(shape)
    if name.endswith("running_var"):
        u = 1 + 0.5 * u
    elif name.endswith("running_mean"):
        u = 0.2 * u
    elif name in ("cls_token", "pos_embed"):
        u = 0.5 * u
    elif len(shape) == 1:
        u = 1 + 0.3 * u if name.endswith("weight") else 0.1 * u
    else:
        u = math.sqrt(6 / math.prod(shape[1:])) * u
    return torch.from_numpy(u.astype(np.float32))


def make_inputs(photo):
    image = Image.open(photo).convert("RGB")
    scale = 256 / min(image.size)
    image = image.resize([round(side * scale) for side in image.size], Image.Resampling.BICUBIC)
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    image.crop((left, top, left + 224, top + 224)).save(FIXTURES / INPUTS[0], optimize=True)
    y, x = np.mgrid[0:224, 0:224]
    planes = [(x * 255) // 223, (y * 255) // 223, ((x // 16 + y // 16) % 2) * 255]
    Image.fromarray(np.stack(planes, axis=-1).astype(np.uint8)).save(FIXTURES / INPUTS[1], optimize=True)


def read_input(name):
    pixels = np.asarray(Image.open(FIXTURES / name), dtype=np.float64) / 255
    assert pixels.shape == (224, 224, 3), f"{name} is {pixels.shape}"
    normal = (pixels - MEAN) / DEVIATION
    return torch.from_numpy(normal.astype(np.float32)).permute(2, 0, 1)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--photo", help="picture to make the first input from")
    arguments.add_argument("--weights", help="folder to write the weights to, for use on the command line")
    arguments = arguments.parse_args()
    if arguments.photo:
        make_inputs(arguments.photo)
    x = torch.stack([read_input(name) for name in INPUTS])

    models = []
    for name, network, classifier in networks():
        tensors = {key: list(t.shape) for key, t in network.state_dict().items()}
        state = {key: value(key, shape) for key, shape in tensors.items()}
        network.load_state_dict(state)
        if arguments.weights:
            from safetensors.torch import save_file

            folder = pathlib.Path(arguments.weights)
            folder.mkdir(parents=True, exist_ok=True)
            save_file(state, folder / f"{name}.safetensors")
        # In float64, so that the stored numbers carry no rounding of their own.
        network.double().eval()
        with torch.no_grad():
            logits = network(x.double())
            setattr(network, classifier, torch.nn.Identity())
            features = network(x.double())
        differs = ((logits[0] - logits[1]).abs().max() / logits.abs().max()).item()
        print(f"{name}: largest logit {logits.abs().max():.3f}, inputs differ by {differs:.3f} of it")
        models.append({
            "name": name,
            "tensors": [{"name": key, "shape": shape} for key, shape in tensors.items()],
            "features": [[float(f"{v:.8g}") for v in row] for row in features.tolist()],
            "logits": [[float(f"{v:.8g}") for v in row] for row in logits.tolist()],
        })

    def line(key, item):
        return f'"{key}": {json.dumps(item)}'

    with open(FIXTURES / "models.json", "w") as file:
        rows = ["{" + ",\n ".join(line(key, item) for key, item in model.items()) + "}" for model in models]
        versions = f"torch {torch.__version__}, torchvision {torchvision.__version__}, timm {timm.__version__}"
        file.write("{" + line("made_with", versions) + ",\n" + line("inputs", INPUTS) + ",\n")
        file.write('"models": [\n' + ",\n".join(rows) + "\n]}\n")


if __name__ == "__main__":
    main()
