"""Times Fledge and PyTorch side by side: `make bench`.

Each round times Fledge, then every PyTorch setting, so that both see the same moods of the machine. A result is the
median over the rounds; the ratio is PyTorch's best setting divided by Fledge, above 1 where Fledge is faster. Tables
go to `Benchmarks/results` as CSV and Markdown.
"""

import argparse
import csv
import datetime
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


def processor():
    try:
        for line in open("/proc/cpuinfo"):
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


class PyTorch:
    """`pytorch.py` in a process of its own."""

    def __init__(self, threads):
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "pytorch.py"), "--threads", str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )

    def measure(self, workload, setting, seconds):
        self.process.stdin.write(f"{workload} {seconds} {setting}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"PyTorch ended while timing {workload} ({setting})")
        return json.loads(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def measure_fledge(command, workload, seconds):
    text = subprocess.run(
        [command, "bench", "--only", workload, "--rounds", "1", "--seconds", str(seconds), "--json", "--quiet"],
        check=True, stdout=subprocess.PIPE, text=True,
    ).stdout
    document = json.loads(text)
    return document["workloads"][0]["median"], document


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fledge", default=str(HERE.parent / ".build/release/fledge"), help="the command to time")
    parser.add_argument("--only", action="append", metavar="WORKLOAD", help="may be repeated; default: all")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="time of one measurement (at least three steps)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--full", action="store_true", help="try torch.compile too: minutes, and needs a C++ compiler")
    parser.add_argument("--output", default=str(HERE / "results"), help="folder for the tables")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)

    # Only now: PyTorch reads the number of threads when it is loaded.
    import torch
    from pytorch import WORKLOADS

    unknown = [name for name in options.only or [] if name not in WORKLOADS]
    if unknown:
        parser.error(f"no workload {', '.join(unknown)}; there are {', '.join(WORKLOADS)}")
    started = datetime.datetime.now(datetime.timezone.utc)
    load_before = os.getloadavg()[0]
    pytorch = PyTorch(options.threads)
    rows, fledge = [], {}
    for name in options.only or WORKLOADS:
        settings = [s for s in WORKLOADS[name][1] if options.full or "compiled" not in s]
        ours, theirs = [], {setting: [] for setting in settings}
        for _ in range(options.rounds):
            time, fledge = measure_fledge(options.fledge, name, options.seconds)
            ours.append(time)
            for setting in settings:
                theirs[setting].append(pytorch.measure(name, setting, options.seconds))
        medians = {setting: statistics.median(times) for setting, times in theirs.items()}
        best = min(medians, key=medians.get)
        row = {
            "workload": name,
            "fledge_ms": statistics.median(ours),
            "pytorch_ms": medians[best],
            "ratio": medians[best] / statistics.median(ours),
            "pytorch_setting": best,
            "fledge_rounds_ms": " ".join(f"{t:.4g}" for t in ours),
            "pytorch_rounds_ms": " ".join(f"{t:.4g}" for t in theirs[best]),
            "other_settings_ms": "; ".join(f"{s} {m:.4g}" for s, m in medians.items() if s != best),
        }
        rows.append(row)
        print(
            f"{name:20} Fledge {row['fledge_ms']:9.3f} ms   PyTorch {row['pytorch_ms']:9.3f} ms ({best})   "
            f"ratio {row['ratio']:.2f}",
            flush=True,
        )
    pytorch.close()

    facts = [
        ("processor", processor()),
        ("threads", options.threads),
        ("system", f"{platform.system()} {platform.release()}"),
        ("date", started.strftime("%Y-%m-%d %H:%M UTC")),
        ("Fledge", f"{fledge['version']}, kernels {fledge['instruction_set']}, oneDNN {fledge['onednn']}"),
        ("PyTorch", f"{torch.__version__}, float32"),
        ("rounds", f"{options.rounds} of {options.seconds:g} s, taking turns"),
        ("load before and after", f"{load_before:.2f}, {os.getloadavg()[0]:.2f}"),
    ]
    write_tables(pathlib.Path(options.output), started, facts, rows)


def write_tables(folder, started, facts, rows):
    folder.mkdir(parents=True, exist_ok=True)
    slug = re.sub(r"[^a-z0-9]+", "-", processor().lower()).strip("-")
    base = folder / f"{started:%Y-%m-%d}-{slug}"
    with open(f"{base}.csv", "w", newline="") as file:
        for name, value in facts:
            file.write(f"# {name}: {value}\n")
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    lines = ["# Fledge and PyTorch", ""]
    lines += [f"- {name}: {value}" for name, value in facts]
    lines += [
        "",
        "Milliseconds, medians over the rounds. The ratio is PyTorch's best setting divided by Fledge: above 1, Fledge",
        "is faster.",
        "",
        "| workload | Fledge | PyTorch | its best setting | ratio |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['workload']} | {row['fledge_ms']:.4g} | {row['pytorch_ms']:.4g} | {row['pytorch_setting']} "
            f"| **{row['ratio']:.2f}** |"
        )
    pathlib.Path(f"{base}.md").write_text("\n".join(lines) + "\n")
    print(f"wrote {base}.csv and .md")


if __name__ == "__main__":
    main()
