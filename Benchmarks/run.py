"""Times Fledge and PyTorch side by side: `make bench`.

Each round times Fledge, then every PyTorch setting, so that both see the same moods of the machine. A result is the
median over the rounds; the ratio is PyTorch's best setting divided by Fledge, above 1 where Fledge is faster. Then come
the memory of a training, the slow-down beside another busy process, and starting up. Tables go to `Benchmarks/results`
as CSV and Markdown.
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
import tempfile
import time

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


class Bench:
    """Both sides, and what was measured so far."""

    def __init__(self, options, workloads):
        self.options, self.workloads = options, workloads
        self.pytorch = PyTorch(options.threads)
        self.fledge = {}
        self.program = [sys.executable, str(HERE / "pytorch.py"), "--threads", str(options.threads)]

    def time(self, name, rounds, settings):
        """Times in milliseconds, turn by turn: Fledge's, and those of each PyTorch setting."""
        ours, theirs = [], {setting: [] for setting in settings}
        for _ in range(rounds):
            found, self.fledge = measure_fledge(self.options.fledge, name, self.options.seconds)
            ours.append(found)
            for setting in settings:
                theirs[setting].append(self.pytorch.measure(name, setting, self.options.seconds))
        return ours, theirs

    def workload(self, name):
        settings = [s for s in self.workloads[name][1] if self.options.full or "compiled" not in s]
        ours, theirs = self.time(name, self.options.rounds, settings)
        medians = {setting: statistics.median(times) for setting, times in theirs.items()}
        best = min(medians, key=medians.get)
        row = {"workload": name} | times_row(ours, theirs[best]) | {
            "pytorch_setting": best,
            "other_settings_ms": "; ".join(f"{s} {m:.4g}" for s, m in medians.items() if s != best),
        }
        if "-train" in name:
            row["fledge_mb"] = peak_memory(
                [self.options.fledge, "bench", "--only", name, "--rounds", "1", "--seconds", "0.001", "--quiet"])
            row["pytorch_mb"] = peak_memory([*self.program, "--once", name, "--setting", best])
        return row

    def beside_a_busy_process(self, row):
        """The same workload while another process keeps one core busy."""
        busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            setting = row["pytorch_setting"]
            ours, theirs = self.time(row["workload"], min(3, self.options.rounds), [setting])
        finally:
            busy.kill()
            busy.wait()
        found = times_row(ours, theirs[setting])
        return {"workload": f"{row['workload']}, beside a busy process"} | found | {
            "pytorch_setting": setting,
            "fledge_slowdown": found["fledge_ms"] / row["fledge_ms"],
            "pytorch_slowdown": found["pytorch_ms"] / row["pytorch_ms"],
        }

    def photos(self, folder, steps=20, batch=128, size=64):
        """Views a second of SimCLR from the files of a folder, as milliseconds for each; PyTorch with the best number
        of workers. What comes before the first update is left out: both sides are timed with some updates and with
        more."""
        def fledge(count):
            with tempfile.TemporaryDirectory() as run:
                return seconds([
                    self.options.fledge, "train", "simclr", "--data", folder, "--image-size", str(size), "--set",
                    f"batchSize={batch}", "--set", f"training.steps={count}", "--out", run + "/run", "--quiet"])

        def pytorch(count, workers):
            return seconds([
                sys.executable, str(HERE / "photos.py"), folder, "--size", str(size), "--batch", str(batch), "--steps",
                str(count), "--workers", str(workers), "--threads", str(self.options.threads)])

        def each(run, *arguments):
            return (run(few + steps, *arguments) - run(few, *arguments)) * 1000 / (2 * batch * steps)

        few = 4
        cores = len(os.sched_getaffinity(0))
        tried = {workers: each(pytorch, workers) for workers in range(cores + 1)}
        best = min(tried, key=tried.get)
        ours, theirs = [], [tried[best]]
        for number in range(min(3, self.options.rounds)):
            ours.append(each(fledge))
            if number > 0:
                theirs.append(each(pytorch, best))
        row = {"workload": "SimCLR from image files, a view"} | times_row(ours, theirs)
        return row | {
            "pytorch_setting": f"lightly, {best} workers",
            "other_settings_ms": "; ".join(f"{n} workers {t:.4g}" for n, t in tried.items() if n != best),
        }

    def starting(self, name, ours, theirs):
        """From the start to the end of two commands, turn by turn."""
        times = [[], []]
        for _ in range(self.options.rounds):
            for command, found in zip([ours, theirs], times):
                with tempfile.TemporaryDirectory() as folder:
                    found.append(seconds([part.replace("{folder}", folder) for part in command]) * 1000)
        return {"workload": name} | times_row(*times)


def times_row(ours, theirs):
    return {
        "fledge_ms": statistics.median(ours),
        "pytorch_ms": statistics.median(theirs),
        "ratio": statistics.median(theirs) / statistics.median(ours),
        "fledge_rounds_ms": " ".join(f"{t:.4g}" for t in ours),
        "pytorch_rounds_ms": " ".join(f"{t:.4g}" for t in theirs),
    }


def seconds(command):
    """From the start to the end of a process."""
    start = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-500:]}")
    return time.perf_counter() - start


def peak_memory(command):
    """The largest memory in use by a process, in MB. A small process starts it, since a process counts as its own what
    the one that started it had."""
    start = (
        "import os, subprocess, sys; "
        "_, status, used = os.wait4(subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL).pid, 0); "
        "print(os.waitstatus_to_exitcode(status), used.ru_maxrss / 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", start, *command], check=True, stdout=subprocess.PIPE, text=True)
    code, peak = done.stdout.split()
    if code != "0":
        sys.exit(f"{' '.join(command)} ended with {code}")
    return float(peak)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fledge", default=str(HERE.parent / ".build/release/fledge"), help="the command to time")
    parser.add_argument("--only", action="append", metavar="WORKLOAD", help="may be repeated; default: all")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="time of one measurement (at least three steps)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--photos", metavar="FOLDER", help="train SimCLR from the image files of this folder as well")
    parser.add_argument("--full", action="store_true", help="try torch.compile too: minutes, and needs a C++ compiler")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: a first look in some minutes")
    parser.add_argument("--output", default=str(HERE / "results"), help="folder for the tables")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 3, 0.1
    os.environ["OMP_NUM_THREADS"] = str(options.threads)

    # Only now: PyTorch reads the number of threads when it is loaded.
    import torch
    from pytorch import WORKLOADS

    unknown = [name for name in options.only or [] if name not in WORKLOADS]
    if unknown:
        parser.error(f"no workload {', '.join(unknown)}; there are {', '.join(WORKLOADS)}")
    started = datetime.datetime.now(datetime.timezone.utc)
    load_before = os.getloadavg()[0]
    bench = Bench(options, WORKLOADS)
    rows = []

    def add(row):
        rows.append(row)
        print(
            f"{row['workload']:42} Fledge {row['fledge_ms']:9.3f} ms   PyTorch {row['pytorch_ms']:9.3f} ms   "
            f"ratio {row['ratio']:.2f}",
            flush=True,
        )

    names = options.only or list(WORKLOADS)
    for name in names:
        add(bench.workload(name))
    for row in rows[:]:
        if row["workload"] in ["resnet18-train", "small-conv-train"]:
            add(bench.beside_a_busy_process(row))
    if options.photos:
        add(bench.photos(options.photos))
    if not options.only:
        add(bench.starting("start of the help", [options.fledge, "--help"], [sys.executable, "-c", "import torch"]))
        one_step = [
            options.fledge, "train", "supervised", "--data", "digits", "--labels-per-class", "10", "--set",
            "training.steps=1", "--out", "{folder}/run", "--quiet",
        ]
        add(bench.starting("start and one step", one_step, [*bench.program, "--once", "mlp-train"]))
    bench.pytorch.close()

    # Share of the peak: products and sums of a direct computation, so that cleverer ones can pass 100 %.
    count = json.loads(subprocess.run([*bench.program, "--flops"], check=True, stdout=subprocess.PIPE, text=True).stdout)
    products = [row for row in rows if row["workload"] == "matmul"]
    peak = max((count["matmul"] / min(r["fledge_ms"], r["pytorch_ms"]) for r in products), default=None)
    for row in rows:
        if peak and count.get(row["workload"]):
            row["share_of_peak"] = count[row["workload"]] / row["fledge_ms"] / peak

    facts = [
        ("processor", processor()),
        ("threads", options.threads),
        ("system", f"{platform.system()} {platform.release()}"),
        ("date", started.strftime("%Y-%m-%d %H:%M UTC")),
        ("Fledge", f"{bench.fledge['version']}, kernels {bench.fledge['instruction_set']}, oneDNN {bench.fledge['onednn']}"),
        ("PyTorch", f"{torch.__version__}"),
        ("rounds", f"{options.rounds} of {options.seconds:g} s, taking turns"),
        ("load before and after", f"{load_before:.2f}, {os.getloadavg()[0]:.2f}"),
    ]
    if peak:
        facts.append(("peak", f"{peak / 1e6:.0f} GFLOP/s in the faster side's `matmul`"))
    write_tables(pathlib.Path(options.output), started, facts, rows)


COLUMNS = [
    "workload", "fledge_ms", "pytorch_ms", "ratio", "pytorch_setting", "share_of_peak", "fledge_mb", "pytorch_mb",
    "fledge_slowdown", "pytorch_slowdown", "fledge_rounds_ms", "pytorch_rounds_ms", "other_settings_ms",
]


def write_tables(folder, started, facts, rows):
    folder.mkdir(parents=True, exist_ok=True)
    slug = re.sub(r"[^a-z0-9]+", "-", processor().lower()).strip("-")
    base = folder / f"{started:%Y-%m-%d}-{slug}"
    with open(f"{base}.csv", "w", newline="") as file:
        for name, value in facts:
            file.write(f"# {name}: {value}\n")
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    lines = ["# Fledge and PyTorch", ""]
    lines += [f"- {name}: {value}" for name, value in facts]
    lines += [
        "",
        "Milliseconds, medians over the rounds. The ratio is PyTorch's best setting divided by Fledge: above 1, Fledge",
        "is faster. The share is that of the peak in what direct products would take, and Winograd's method takes fewer.",
        "Memory is the largest of the whole process, in MB.",
        "",
        "| workload | Fledge | PyTorch | its best setting | ratio | share of the peak | memory, Fledge | PyTorch | ratio |",
        "|---" * 9 + "|",
    ]

    def cells(row):
        share = f"{100 * row['share_of_peak']:.0f} %" if "share_of_peak" in row else ""
        memory = ["", "", ""]
        if "fledge_mb" in row:
            ratio = row["fledge_mb"] / row["pytorch_mb"]
            memory = [f"{row['fledge_mb']:.0f}", f"{row['pytorch_mb']:.0f}", f"{ratio:.2f}"]
        return [
            row["workload"], f"{row['fledge_ms']:.4g}", f"{row['pytorch_ms']:.4g}", row.get("pytorch_setting", ""),
            f"**{row['ratio']:.2f}**", share, *memory,
        ]

    lines += [f"| {' | '.join(cells(row))} |" for row in rows]
    slower = [row for row in rows if "fledge_slowdown" in row]
    if slower:
        lines += ["", "How many times as long a step takes beside a process that keeps one core busy:", ""]
        lines += ["| workload | Fledge | PyTorch |", "|---|---|---|"]
        for row in slower:
            name = row["workload"].split(",")[0]
            lines.append(f"| {name} | **{row['fledge_slowdown']:.1f}** | {row['pytorch_slowdown']:.1f} |")
    pathlib.Path(f"{base}.md").write_text("\n".join(lines) + "\n")
    print(f"wrote {base}.csv and .md")


if __name__ == "__main__":
    main()
