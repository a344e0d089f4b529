"""Trains the same recipes with Fledge and with PyTorch and compares accuracy and time: `make study-recipes`.

For each seed and method Fledge trains first; then `recipes.py` trains in PyTorch with the settings of that run, on the
same file: the same samples, of which the same have labels. Both results are model files that `fledge evaluate`
measures: by test accuracy, or, for methods without labels, by what their features are worth. Each side has one thread,
which makes its batches as well, unless --threads says otherwise.

Wall time runs from the data in memory to the trained weights: starting a process and importing PyTorch do not count.
Processor time of PyTorch is likewise; Fledge's is that of the whole process. It is the better number on a machine that
does other things at the same time. Rows that the table holds already are not run again.
"""

import argparse
import csv
import datetime
import gzip
import json
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import tempfile

import numpy as np

from run import processor
from study import fledge, mean_and_deviation, measures

HERE = pathlib.Path(__file__).resolve().parent
DIGITS = HERE.parent / "Sources/FledgeData/Digits"
# Whether features are measured; else test accuracy.
METHODS = {
    "simclr": True, "moco": True, "byol": True, "simsiam": True, "barlow-twins": True, "mae": True,
    "fixmatch": False, "mean-teacher": False, "mixmatch": False, "vat": False,
}
KEY = ["method", "data", "labels_per_class", "seed", "threads", "settings"]
SIDES = ["fledge", "pytorch"]
COLUMNS = KEY + ["measure"] + [
    f"{side}_{number}" for number in ["accuracy", "seconds", "processor_seconds", "loss"] for side in SIDES
]


def read_idx(path):
    """An IDX file of bytes, as MNIST's."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    rank = content[3]
    shape = [int.from_bytes(content[4 + 4 * axis : 8 + 4 * axis], "big") for axis in range(rank)]
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)


def read_folder(folder):
    """The arrays of a folder of IDX files, by the names that Fledge knows them by."""
    arrays = {}
    for name, content in [("x", "images-idx3-ubyte"), ("y", "labels-idx1-ubyte")]:
        for split, names in [("train", ["train"]), ("test", ["test", "t10k"])]:
            paths = [path for path in folder.glob(f"*{content}*") if any(part in path.name for part in names)]
            if len(paths) != 1:
                sys.exit(f"{folder} has {len(paths)} files of {content} to {split}; one is needed, as MNIST has them")
            arrays[f"{name}_{split}"] = read_idx(paths[0])
    # Few levels are told from bytes by the type.
    white = arrays["x_train"].max()
    return {name: array.astype(np.int16) if white <= 16 else array for name, array in arrays.items()}


def with_few_labels(arrays, per_class, seed):
    """Only so many labels of each class are left; -1 stands for the others."""
    labels = arrays["y_train"].astype(np.int64)
    random = np.random.default_rng(seed)
    kept = [random.permutation(np.flatnonzero(labels == label))[:per_class] for label in np.unique(labels)]
    few = np.full_like(labels, -1)
    few[np.concatenate(kept)] = labels[np.concatenate(kept)]
    return arrays | {"y_train": few}


def last_mean(losses):
    return statistics.mean(losses[-max(1, len(losses) // 10) :])


def train_fledge(options, method, seed, settings, data, run):
    """Wall and processor seconds, and the loss at the end."""
    arguments = ["train", method, "--data", data, "--seed", str(seed), "--out", run]
    # A loader thread of its own would be a second thread.
    arguments += ["--workers", "0" if options.threads == 1 else "1"]
    for setting in settings:
        arguments += ["--set", setting]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = fledge(options.fledge, *arguments)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    losses = next(curve["values"] for curve in report["curves"] if curve["name"] == "loss")
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return report["seconds"], used, last_mean(losses)


def train_pytorch(options, seed, data, run, out):
    program = [sys.executable, str(HERE / "recipes.py")]
    done = subprocess.run(
        [*program, run, data, out, "--seed", str(seed), "--threads", str(options.threads)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().replace("\n", " | ")[-300:])
    found = json.loads(done.stdout)
    return found["seconds"], found["processor_seconds"], last_mean(found["losses"])


def compare(options, method, seed, settings, data, folder):
    """The rows of one method and seed, without the key."""
    run, weights = f"{folder}/{method}", f"{folder}/{method}.safetensors"
    ours = train_fledge(options, method, seed, settings, data, run)
    theirs = train_pytorch(options, seed, data, run, weights)
    accuracies = [
        measures(options.fledge, path, options.data, options.labels_per_class, seed, METHODS[method])
        for path in [run, weights]
    ]
    rows = []
    for (measure, accuracy), (_, other) in zip(*accuracies):
        if "," in measure:
            # A baseline: neither side trained it.
            continue
        row = {"measure": measure}
        for side, accuracy, (seconds, used, loss) in [("fledge", accuracy, ours), ("pytorch", other, theirs)]:
            row |= {
                f"{side}_accuracy": f"{accuracy:.4f}", f"{side}_seconds": f"{seconds:.1f}",
                f"{side}_processor_seconds": f"{used:.1f}", f"{side}_loss": f"{loss:.4g}",
            }
        rows.append(row)
    return rows


def write_markdown(path, facts, rows):
    def numbers(group, name):
        return [float(row[name]) for row in group]

    def mean(group, side, name):
        return statistics.mean(numbers(group, f"{side}_{name}"))

    def percent(group, side):
        return mean_and_deviation(numbers(group, f"{side}_accuracy"))

    def groups(*columns):
        found = {}
        for row in rows:
            found.setdefault(tuple(row[column] for column in columns), []).append(row)
        return sorted(found.items(), key=lambda item: list(METHODS).index(item[0][0]))

    def ratio(group, name):
        ours, theirs = (mean(group, side, name) for side in SIDES)
        return f"{ours:.1f} | {theirs:.1f} | **{theirs / ours:.2f}**"

    lines = [f"# {path.stem}", ""]
    lines += [f"- {name}: {value}" for name, value in facts]
    lines += [
        "", "## Accuracy", "",
        "In %, mean and standard deviation over the seeds, and how far Fledge's mean is above PyTorch's.", "",
        "| method | settings | labels per class | seeds | measure | Fledge | PyTorch | difference |", "|---" * 8 + "|",
    ]
    for (method, settings, labels, _, measure), group in groups(
        "method", "settings", "labels_per_class", "threads", "measure"):
        difference = 100 * (mean(group, "fledge", "accuracy") - mean(group, "pytorch", "accuracy"))
        cells = [
            f"`{method}`", settings or "default", labels, len(group), measure, percent(group, "fledge"),
            percent(group, "pytorch"), f"**{difference:+.1f}**",
        ]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    lines += [
        "", "## Time", "",
        "Seconds of one training, means over the seeds. A ratio is PyTorch / Fledge: above 1, Fledge is faster. Both",
        "take turns. Where the machine did other things as well, wall times are a hint only: then see the processor",
        "times. The loss is that of the last tenth of the training, on either side.", "",
        "| method | settings | threads | wall, Fledge | PyTorch | ratio | processor, Fledge | PyTorch | ratio "
        "| loss, Fledge | PyTorch |",
        "|---" * 11 + "|",
    ]
    for (method, settings, threads), group in groups("method", "settings", "threads"):
        losses = " | ".join(f"{mean(group, side, 'loss'):.3g}" for side in SIDES)
        lines.append(
            f"| `{method}` | {settings or 'default'} | {threads} | {ratio(group, 'seconds')} "
            f"| {ratio(group, 'processor_seconds')} | {losses} |")
    path.write_text("\n".join(lines) + "\n")


def write_tables(table, facts, rows):
    table.parent.mkdir(parents=True, exist_ok=True)
    with table.open("w", newline="") as file:
        for name, value in facts:
            file.write(f"# {name}: {value}\n")
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    write_markdown(table.with_suffix(".md"), facts, rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default="digits", help="digits, or a folder of IDX files as MNIST has them")
    parser.add_argument("--only", action="append", choices=METHODS, help="may be repeated; default: all")
    parser.add_argument("--labels-per-class", type=int, default=10, help="to train or, without labels, to measure with")
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0 on")
    parser.add_argument("--set", action="append", default=[], metavar="name=value", help="for every method that has it")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--fledge", default=str(HERE.parent / ".build/release/fledge"), help="the command to run")
    parser.add_argument("--output", default=str(HERE / "results"), help="folder for the tables")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)

    name = pathlib.Path(options.data).name
    table = pathlib.Path(options.output) / f"recipes-{name}.csv"
    rows = []
    if table.exists():
        rows = list(csv.DictReader(line for line in table.open() if not line.startswith("# ")))
    fields = {
        method["name"]: {field["field"] for field in method["config"]} for method in fledge(options.fledge, "methods")
    }
    bench = fledge(options.fledge, "bench", "--only", "mlp-train", "--rounds", "1", "--seconds", "0.01", "--quiet")
    arrays = read_folder(DIGITS if options.data == "digits" else pathlib.Path(options.data))
    import torch

    facts = [
        ("processor", processor()),
        ("system", f"{platform.system()} {platform.release()}"),
        ("date", f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d}"),
        ("Fledge", f"{bench['version']}, kernels {bench['instruction_set']}, oneDNN {bench['onednn']}"),
        ("PyTorch", f"{torch.__version__}, float32, channels last, fused optimizers"),
    ]
    failures = []
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as folder:
            data = f"{folder}/data.npz"
            np.savez(data, **with_few_labels(arrays, options.labels_per_class, seed))
            for method in options.only or METHODS:
                settings = [text for text in options.set if text.split("=")[0] in fields[method]]
                key = {
                    "method": method, "data": name, "labels_per_class": str(options.labels_per_class),
                    "seed": str(seed), "threads": str(options.threads), "settings": " ".join(settings),
                }
                if any(all(row[column] == value for column, value in key.items()) for row in rows):
                    continue
                try:
                    found = compare(options, method, seed, settings, data, folder)
                except RuntimeError as error:
                    failures.append(f"{method}, seed {seed}: {error}")
                    print("failed:", failures[-1], file=sys.stderr)
                    continue
                rows += [key | row for row in found]
                for row in found:
                    print(f"{method}, seed {seed}: " + ", ".join(f"{k} {v}" for k, v in row.items()), flush=True)
                write_tables(table, facts + [("load at the end", f"{os.getloadavg()[0]:.2f}")], rows)
    if failures:
        sys.exit(f"{len(failures)} runs failed")


if __name__ == "__main__":
    main()
