"""Random views of whole batches of grey pictures in PyTorch, with the distributions of Fledge's augmentations.

Every function takes [B, 1, S, S] with levels of 0...1 and gives the same, each picture changed in its own way.
"""

import math

import torch
import torch.nn.functional as F


def even(low, high, *shape):
    return torch.empty(shape).uniform_(low, high)


def resized_crop(x, scale):
    """A random part of `scale` or more of the area and of an aspect of 3/4 to 4/3, enlarged to the whole: the first of
    ten tries that fits, else the picture as it is."""
    count, side = x.shape[0], x.shape[-1]
    area = even(scale, 1, count, 10) * side**2
    aspect = even(math.log(3 / 4), math.log(4 / 3), count, 10).exp()
    widths, heights = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
    fits = (widths > 0) & (heights > 0) & (widths <= side) & (heights <= side)
    first = fits.int().argmax(1, keepdim=True)

    def positions(lengths):
        length = torch.where(fits.any(1, keepdim=True), lengths.gather(1, first), side)
        start = (torch.rand(count, 1) * (side - length + 1)).floor()
        inside = (torch.arange(side) + 0.5) / side * length - 0.5
        # Nothing from outside the part is mixed in.
        pixels = start + torch.minimum(inside.clamp(min=0), length - 1)
        return pixels * (2 / (side - 1)) - 1

    columns, rows = positions(widths), positions(heights)
    grid = torch.stack(torch.broadcast_tensors(columns[:, None, :], rows[:, :, None]), dim=-1)
    return F.grid_sample(x, grid, align_corners=True)


def levels(x, factor, contrast):
    """Multiplies by `factor`; where `contrast` is 1 and not 0, the distance from the picture's mean."""
    mean = x.mean((1, 2, 3), keepdim=True)
    return (x * factor + mean * (1 - factor) * contrast).clamp(0, 1)


def jitter(x, strength, probability=0.8):
    """Brightness and contrast in random order."""
    count = x.shape[0]
    chosen = (torch.rand(count, 1, 1, 1) < probability).float()
    contrast = (torch.rand(count, 1, 1, 1) < 0.5).float()
    for is_contrast in [contrast, 1 - contrast]:
        factor = 1 + chosen * even(-0.8 * strength, 0.8 * strength, count, 1, 1, 1)
        x = levels(x, factor, is_contrast)
    return x


def gentle(x, share=0.125):
    """Moved by whole pixels, up to `share` of the side each way, mirrored at the border."""
    count, side = x.shape[0], x.shape[-1]
    most = max(1, int(side * share + 0.5))
    padded = F.pad(x, [most] * 4, mode="reflect")
    rows = torch.arange(side) + torch.randint(2 * most + 1, (count, 1))
    columns = torch.arange(side) + torch.randint(2 * most + 1, (count, 1))
    return padded[torch.arange(count)[:, None, None], 0, rows[:, :, None], columns[:, None, :]].unsqueeze(1)


OPERATIONS = [
    "identity", "brightness", "contrast", "rotate", "sharpness", "shear x", "shear y", "translate x", "translate y",
]


def rough(x, magnitude=1.0, cutout=0.5):
    """A gentle view, two operations of RandAugment (those that leave a digit what it is), and a hole."""
    x = gentle(x)
    count, side = x.shape[0], x.shape[-1]
    drawn = torch.randint(len(OPERATIONS), (2, count))
    maps = [movement(operations, magnitude, side) for operations in drawn]
    # Movements that follow one another are one, so this order of the three is right for every pair of operations.
    x = recoloured(x, drawn[0], magnitude)
    grid = F.affine_grid((maps[0] @ maps[1])[:, :2], x.shape, align_corners=True)
    x = F.grid_sample(x, grid, align_corners=True)
    x = recoloured(x, drawn[1], magnitude)
    if cutout <= 0:
        return x
    hole = int(side * cutout + 0.5)
    at = torch.arange(side) - torch.randint(side, (2, count, 1)) + hole // 2
    inside = (at >= 0) & (at < hole)
    return x.masked_fill((inside[0][:, :, None] & inside[1][:, None, :]).unsqueeze(1), 0)


def movement(operations, magnitude, side):
    """[B, 3, 3]: where each pixel comes from, in coordinates of -1...1; the identity for operations that move none."""
    strength = even(-magnitude, magnitude, len(operations))

    def of(name, amount):
        return torch.where(operations == OPERATIONS.index(name), amount, 0)

    angle = of("rotate", strength * math.radians(30))
    shift = (0.3 * strength * side).round() * (2 / (side - 1))
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    entries = [
        angle.cos(), of("shear x", 0.3 * strength) - angle.sin(), -of("translate x", shift),
        of("shear y", 0.3 * strength) + angle.sin(), angle.cos(), -of("translate y", shift),
        zero, zero, one,
    ]
    return torch.stack(entries, dim=-1).reshape(-1, 3, 3)


SMOOTH = torch.tensor([[1.0, 1, 1], [1, 5, 1], [1, 1, 1]]).reshape(1, 1, 3, 3) / 13


def recoloured(x, operations, magnitude):
    """Brightness, contrast and sharpness, for the pictures that drew them."""
    factor = 1 - magnitude * even(0.05, 0.95, x.shape[0])
    is_contrast = operations == OPERATIONS.index("contrast")
    is_level = is_contrast | (operations == OPERATIONS.index("brightness"))
    x = levels(
        x, torch.where(is_level, factor, 1).reshape(-1, 1, 1, 1), is_contrast.float().reshape(-1, 1, 1, 1))
    chosen = (operations == OPERATIONS.index("sharpness")).nonzero().squeeze(1)
    some = x[chosen]
    smooth = F.conv2d(some, SMOOTH)
    inner = some[:, :, 1:-1, 1:-1]
    # The outermost pixels stay.
    some[:, :, 1:-1, 1:-1] = (smooth + factor[chosen].reshape(-1, 1, 1, 1) * (inner - smooth)).clamp(0, 1)
    x[chosen] = some
    return x
