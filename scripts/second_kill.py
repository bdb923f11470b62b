#!/usr/bin/env python3
"""Counts how often the kernel's OOM killer kills twice where one kill makes room enough.

    sudo python3 scripts/second_kill.py --growers 2 --threads 2 --rate 100 --trials 16

In a memory cgroup (version 1, no swap) one JVM holds the most memory, and others grow by --rate MiB a second each, from
--threads threads, into the limit. What they want after that is less than the first victim frees. Prints a line a trial: who
died, and, ms after the first decision to kill, when the victim's main thread and its last thread began to end and when the
kernel decided again. Needs root, a JDK and tracefs. docs/host.md has the results.
"""

import argparse
import os
import pathlib
import re
import subprocess
import tempfile
import time

SOURCE = """
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

public class SecondKill {
    static final List<byte[]> kept = Collections.synchronizedList(new ArrayList<>());

    public static void main(String[] args) throws Exception {
        int idle = Integer.parseInt(args[0]), startMb = Integer.parseInt(args[1]), growMb = Integer.parseInt(args[2]);
        int threads = Integer.parseInt(args[3]);
        double rate = Double.parseDouble(args[4]);
        for (int i = 0; i < idle; i++) new Thread(() -> sleep(Long.MAX_VALUE)).start();
        for (int i = 0; i < startMb; i++) kept.add(mebibyte());
        System.out.println("ready");
        System.in.read();
        for (int t = 0; t < threads; t++) new Thread(() -> {
            long from = System.nanoTime();
            for (int i = 0; i < growMb / threads; i++) {
                kept.add(mebibyte());
                double early = (i + 1) * threads / rate - (System.nanoTime() - from) / 1e9;
                if (early > 0) sleep((long) (early * 1000));
            }
        }).start();
        sleep(Long.MAX_VALUE);
    }

    // With its header just one region of G1.
    static byte[] mebibyte() { return new byte[(1 << 20) - 64]; }

    static void sleep(long ms) {
        try { Thread.sleep(ms); } catch (InterruptedException e) { }
    }
}
"""
MEMORY = pathlib.Path("/sys/fs/cgroup/memory/second_kill")
TRACE = pathlib.Path("/sys/kernel/tracing/instances/second_kill")
EVENTS = ("oom/mark_victim", "sched/sched_process_exit")
# Heap of each, live data of a grower before, what it grows by at most, room when it begins, MiB.
HEAP_MB, START_MB, GROW_MB, ROOM_MB = 1024, 400, 450, 100
IDLE_THREADS = 30
# No kill within this time fails the trial; a second one is waited for so long, s.
AT_MOST_S, AFTER_S = 20, 0.5


def kills():
    return int(re.search(r"oom_kill (\d+)", (MEMORY / "memory.oom_control").read_text())[1])


def java(folder, options, arguments):
    def enter():
        (MEMORY / "cgroup.procs").write_text(str(os.getpid()))

    command = ["java", "-XX:+UseG1GC", f"-Xmx{HEAP_MB}m", *options, "-cp", folder, "SecondKill", *map(str, arguments)]
    return subprocess.Popen(command, preexec_fn=enter, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def moments(victim, threads):
    """What the trace holds of the kills and of the first victim's threads, ms."""
    killed, first, last = [], None, None
    for line in (TRACE / "trace").read_text().splitlines():
        event = re.search(r"(\d+\.\d+): (\w+):.* pid=(\d+)|(\d+\.\d+): (mark_victim): pid=(\d+)", line)
        if event is None:
            continue
        at, name, pid = [part for part in event.groups() if part is not None]
        at = float(at) * 1e3
        if name == "mark_victim":
            # A dying thread of the first victim may be marked once more.
            killed += [] if killed and int(pid) in threads else [at]
        elif int(pid) in threads:
            first = at if int(pid) == victim else first
            last = at if "group_dead=true" in line else last
    if not killed or first is None or last is None:
        return ""
    again = f", kernel decides again {killed[1] - killed[0]:.2f}" if len(killed) > 1 else ""
    return f"main thread ends {first - killed[0]:.2f}, last thread {last - killed[0]:.2f}{again}"


def trial(folder, options):
    limit = MEMORY / "memory.limit_in_bytes"
    limit.write_text("-1")
    holder = java(folder, [f"-Xms{HEAP_MB}m", "-XX:+AlwaysPreTouch"], [IDLE_THREADS, 0, 0, 0, 1])
    growers = [java(folder, [], [0, START_MB, GROW_MB, options.threads, options.rate]) for _ in range(options.growers)]
    try:
        for process in [holder, *growers]:
            process.stdout.readline()
        used = int((MEMORY / "memory.usage_in_bytes").read_text())
        limit.write_text(str(used + (ROOM_MB << 20)))
        threads = {int(name) for name in os.listdir(f"/proc/{holder.pid}/task")}
        (TRACE / "trace").write_text("")
        before, start = kills(), time.monotonic()
        for grower in growers:
            grower.stdin.write(b"\n")
            grower.stdin.flush()
        while kills() == before and time.monotonic() < start + AT_MOST_S:
            time.sleep(0.005)
        time.sleep(AFTER_S)
        number = kills() - before
        print(f"{number} killed, {moments(holder.pid, threads)}", flush=True)
        return number
    finally:
        for process in [holder, *growers]:
            process.kill()
            process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--growers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2, help="threads of each grower")
    parser.add_argument("--rate", type=float, default=100, help="MiB a second of each grower")
    parser.add_argument("--trials", type=int, default=16)
    options = parser.parse_args()
    # Fails while another one runs.
    MEMORY.mkdir()
    TRACE.mkdir(exist_ok=True)
    for event in EVENTS:
        (TRACE / "events" / event / "enable").write_text("1")
    try:
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder) / "SecondKill.java"
            source.write_text(SOURCE)
            subprocess.run(["javac", str(source)], check=True)
            found = [trial(folder, options) for _ in range(options.trials)]
    finally:
        TRACE.rmdir()
        MEMORY.rmdir()
    print(f"{sum(number > 1 for number in found)} second kills in {sum(number > 0 for number in found)} trials with a kill")


if __name__ == "__main__":
    main()
