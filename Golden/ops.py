"""Golden values and gradients of every operation, from PyTorch in float64.

    pip install torch numpy
    python Golden/ops.py

writes two files to Tests/CoreTests/Golden: ops.json, and views.json (which reshapes NumPy does without a copy).

Every row of ops.json has the name of a case of `OpTable` (Sources/FledgeTesting) and builds the same inputs by the same
formula. The Swift test compares the description of the inputs, the values of all outputs and the gradients of all
inputs, and fails when a row is missing on either side. Images are NHWC in Fledge and NCHW here, so image operations are
permuted around the call.
"""

import itertools
import json
import os
import warnings

import numpy as np
import torch

import cases_basic  # noqa: F401, fills the table
import cases_linear_algebra  # noqa: F401
import cases_networks  # noqa: F401
from table import CASES, evaluate

# PyTorch warns about a variance of one number and about the mean of kl_div; both are wanted here.
warnings.filterwarnings("ignore", category=UserWarning)


# Reshaping: when NumPy needs a copy


def views():
    """[shape, step along the last axis, order of axes, target shape, whether NumPy's reshape gives a view]"""
    for shape, targets in [
        ((2, 3, 4), [(24,), (6, 4), (2, 12), (3, 8), (4, 6), (2, 3, 2, 2), (2, 1, 12), (12, 2, 1)]),
        ((4, 6), [(24,), (2, 2, 6), (4, 2, 3), (8, 3), (2, 12), (1, 24)]),
        ((2, 1, 3), [(6,), (2, 3), (3, 2), (1, 6, 1)]),
        ((2, 2, 1, 3), [(4, 3), (12,), (2, 6), (3, 4), (2, 2, 3)]),
        ((0, 3), [(0,), (3, 0), (0, 5)]),
    ]:
        for step, order in itertools.product([1, 2], itertools.permutations(range(len(shape)))):
            memory = np.zeros(shape[:-1] + (shape[-1] * step,))
            x = memory[..., ::step].transpose(order)
            for target in targets:
                is_view = bool(np.shares_memory(x, x.reshape(target))) or x.size == 0
                yield [list(shape), step, list(order), list(target), is_view]


def golden_path(name):
    here = os.path.dirname(os.path.abspath(__file__))
    return os.path.join(here, "..", "Tests", "CoreTests", "Golden", name)


def main():
    names = [name for name, _, _ in CASES]
    assert len(names) == len(set(names)), [n for n in names if names.count(n) > 1]
    rows = {}
    for name, inputs, f in CASES:
        try:
            rows[name] = evaluate(inputs, f)
        except Exception as error:
            raise RuntimeError(f"case {name!r}") from error
    path = golden_path("ops.json")
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in rows.items())
    with open(path, "w") as file:
        file.write(f'{{"source": "PyTorch {torch.__version__}, float64",\n"cases": {{\n{lines}\n}}}}\n')
    print(f"{len(rows)} cases, {os.path.getsize(path) // 1024} kB")

    rows = list(views())
    with open(golden_path("views.json"), "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
    print(f"{len(rows)} views")


if __name__ == "__main__":
    main()
