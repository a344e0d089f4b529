"""Trains every method of a family on one set of data and measures what it learned: `make study-selfsupervised`,
`make study-fewlabels`.

Self-supervised methods are measured by what their features are worth (nearest neighbours and a linear classifier with
few labels, five draws), all others by the accuracy of the last checkpoint on the test split. Methods for pictures, or
for coloured ones, are left out where the data are none. Rows that the table holds already are not run again, so a study
that was interrupted goes on. Results go to `Benchmarks/results` as CSV, one row for each run, and as Markdown, means and
deviations over the seeds.
"""

import argparse
import csv
import json
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
COLUMNS = ["method", "data", "labels_per_class", "seed", "settings", "measure", "accuracy", "seconds"]


def fledge(command, *arguments):
    done = subprocess.run([command, *arguments, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().replace("\n", " | ")[-300:])
    return json.loads(done.stdout)


def processor_seconds():
    """Of the processes started so far: a better measure than the clock where the machine does other things too."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def mean_and_deviation(shares):
    """Of accuracies between 0 and 1, in %, as text."""
    values = [100 * float(share) for share in shares]
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread}"


def read_csv(table):
    """The rows of an earlier run; none where there is no such file."""
    return list(csv.DictReader(table.open())) if table.exists() else []


def write_csv(table, columns, rows):
    table.parent.mkdir(parents=True, exist_ok=True)
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def measures(command, run, data, labels, seed, features):
    """What a finished run is worth: (name, accuracy) pairs, the baselines among them."""
    if not features:
        return [("test accuracy", fledge(command, "evaluate", run, "--data", data)["accuracy"])]
    found = []
    for probe in ["knn", "linear"]:
        document = fledge(
            command, "evaluate", run, "--data", data, "--probe", probe, "--labels-per-class", str(labels),
            "--seed", str(seed))
        found.append((probe, document["accuracy"]))
        found += [(f"{probe}, {name}", value) for name, value in document["baselines"].items()]
    return found


def write_markdown(path, rows):
    """Means over seeds. Runs with different settings are different lines, and say so where there are any."""
    runs, names = {}, []
    for row in rows:
        runs.setdefault((row["method"], row["settings"]), []).append(row)
        if row["measure"] not in names:
            names.append(row["measure"])
    differ = len({settings for _, settings in runs}) > 1
    lines = [
        "# " + path.stem, "",
        "Accuracy in %, mean and standard deviation over seeds; the last column is the mean processor time of training.", "",
        "| method | " + ("settings | " if differ else "") + " | ".join(names) + " | seconds |",
        "|---" * (len(names) + 2 + differ) + "|",
    ]
    for (method, settings), found in runs.items():
        cells = [settings] if differ else []
        for name in names:
            values = [row["accuracy"] for row in found if row["measure"] == name]
            cells.append(mean_and_deviation(values) if values else "-")
        seconds = [float(row["seconds"]) for row in found if row["seconds"]]
        time = f"{statistics.mean(seconds):.0f}" if seconds else "-"
        lines.append(f"| `{method}` | " + " | ".join(cells) + f" | {time} |")
    path.write_text("\n".join(lines) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a folder or a bundled name, as for `fledge train`")
    parser.add_argument("--family", action="append", required=True, help="of `fledge methods`; may be repeated")
    parser.add_argument("--only", action="append", metavar="METHOD", help="may be repeated; default: all of the family")
    parser.add_argument("--labels-per-class", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0 on")
    parser.add_argument("--set", action="append", default=[], metavar="name=value", help="for every method that has it")
    parser.add_argument("--fledge", default=str(HERE.parent / ".build/release/fledge"), help="the command to run")
    parser.add_argument("--output", default=str(HERE / "results"), help="folder for the tables")
    options = parser.parse_args()

    name = f"study-{options.family[0]}-{pathlib.Path(options.data).name}"
    table = pathlib.Path(options.output) / f"{name}.csv"
    rows = read_csv(table)
    methods = [method for method in fledge(options.fledge, "methods") if method["family"] in options.family]
    kind = fledge(options.fledge, "data", "inspect", options.data)
    has = {"images": kind["kind"] == "image", "colour": kind["kind"] == "image" and kind["channels"] == 3}
    methods = [method for method in methods if all(has.get(need, True) for need in method["needs"])]
    if options.only:
        methods = [method for method in methods if method["name"] in options.only]
    failures = []
    for seed in range(options.seeds):
        for method in methods:
            settings = [text for text in options.set if text.split("=")[0] in {field["field"] for field in method["config"]}]
            key = {
                "method": method["name"], "data": pathlib.Path(options.data).name,
                "labels_per_class": str(options.labels_per_class), "seed": str(seed), "settings": " ".join(settings),
            }
            if any(all(row[column] == value for column, value in key.items()) for row in rows):
                continue
            with tempfile.TemporaryDirectory() as folder:
                arguments = ["train", method["name"], "--data", options.data, "--seed", str(seed), "--out", folder + "/run"]
                if "labels" in method["needs"]:
                    arguments += ["--labels-per-class", str(options.labels_per_class)]
                for setting in settings:
                    arguments += ["--set", setting]
                start = processor_seconds()
                try:
                    fledge(options.fledge, *arguments)
                    seconds = processor_seconds() - start
                    found = measures(
                        options.fledge, folder + "/run", options.data, options.labels_per_class, seed,
                        method["family"] == "self-supervised")
                except RuntimeError as error:
                    failures.append(f"{method['name']}, seed {seed}: {error}")
                    print("failed:", failures[-1], file=sys.stderr)
                    continue
            for measure, accuracy in found:
                rows.append(key | {"measure": measure, "accuracy": f"{accuracy:.4f}", "seconds": f"{seconds:.1f}"})
            print(f"{method['name']}, seed {seed}: " + ", ".join(f"{m} {a:.3f}" for m, a in found), flush=True)
            write_csv(table, COLUMNS, rows)
            write_markdown(table.with_suffix(".md"), rows)
    if failures:
        sys.exit(f"{len(failures)} runs failed")


if __name__ == "__main__":
    main()
