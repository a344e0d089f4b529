"""Runs `fledge learn` on several sets of data and seeds and shows what it learned beside its baselines: `make study-learn`.

Each set is PATH:LABELS, the labels per class, and PATH:LABELS:SHARE for data without a test split, of which that share is
held out. Rows that the table holds already are not run again, so a study that was interrupted goes on. Results go to
`Benchmarks/results` as CSV, one row for each run, and as Markdown, means and deviations over the seeds.
"""

import argparse
import pathlib
import statistics
import sys
import tempfile

from study import HERE, fledge, mean_and_deviation, read_csv, write_csv

MEASURES = ["learned", "supervised", "raw_pixels_linear", "untrained_linear"]
COLUMNS = ["data", "labels_per_class", "seed", *MEASURES, "seconds"]


def learn(command, path, labels, share, seed):
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["learn", path, "--labels-per-class", labels, "--seed", str(seed), "--out", folder + "/run"]
        report = fledge(command, *arguments, *(["--hold-out", share] if share else []))
    found = {"learned": report["accuracy"], **report["baselines"]}
    return {name: f"{found[name]:.4f}" for name in MEASURES} | {"seconds": f"{report['seconds']:.1f}"}


def write_markdown(path, rows):
    lines = [
        "# " + path.stem, "", "Accuracy on the test split in %, mean and standard deviation over seeds.", "",
        "| data | labels per class | learned | the same network, the same labels only | linear, raw values "
        "| linear, untrained network | seconds |", "|---" * 7 + "|",
    ]
    for data, labels in dict.fromkeys((row["data"], row["labels_per_class"]) for row in rows):
        group = [row for row in rows if (row["data"], row["labels_per_class"]) == (data, labels)]
        cells = [mean_and_deviation(row[name] for row in group) for name in MEASURES]
        seconds = statistics.mean(float(row["seconds"]) for row in group)
        lines.append(f"| {data} | {labels} | **{cells[0]}** | " + " | ".join(cells[1:]) + f" | {seconds:.0f} |")
    path.write_text("\n".join(lines) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", metavar="PATH:LABELS[:SHARE]")
    parser.add_argument("--name", default="learn", help="of the table")
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0 on")
    parser.add_argument("--fledge", default=str(HERE.parent / ".build/release/fledge"), help="the command to run")
    parser.add_argument("--output", default=str(HERE / "results"), help="folder for the tables")
    options = parser.parse_args()

    table = pathlib.Path(options.output) / f"{options.name}.csv"
    rows = read_csv(table)
    for text in options.sets:
        path, labels, share = (text.split(":") + [""])[:3]
        for seed in range(options.seeds):
            key = {"data": pathlib.Path(path).name, "labels_per_class": labels, "seed": str(seed)}
            if any(all(row[column] == value for column, value in key.items()) for row in rows):
                continue
            try:
                row = key | learn(options.fledge, path, labels, share, seed)
            except RuntimeError as error:
                sys.exit(f"{path}, seed {seed}: {error}")
            print(", ".join(row.values()), flush=True)
            rows.append(row)
            write_csv(table, COLUMNS, rows)
            write_markdown(table.with_suffix(".md"), rows)


if __name__ == "__main__":
    main()
