#!/usr/bin/env python3
"""What a neighbour notices while others grow into swap: its page faults, second by second, and how long each takes.

    sudo python3 scripts/shortage.py --rate 100

In a memory cgroup (version 1) one process holds idle memory, one touches 4 MiB at random of 350 MiB every 100 ms, and two
grow by 500 MiB each, --rate MiB a second together, until 700 MiB more is wanted than the limit. Prints a line a second:
MiB in swap of the idle and of the touching process, its faults, us a fault, its longest wait in ms. Needs root, gcc, and 1 GiB
of swap space. docs/host.md has the results.
"""

import argparse
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time

SOURCE = r"""
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* HOLD_MIB GROW_MIB GROW_MIB_A_SECOND TOUCHES_OF_MIB: holds memory; from SIGUSR1 on grows, or touches and prints a line a second. */
static volatile sig_atomic_t begun;
static void begin(int number) { (void)number; begun = 1; }
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }
static long faults(void) { struct rusage usage; getrusage(RUSAGE_SELF, &usage); return usage.ru_majflt; }

int main(int count, char **argument) {
    if (count < 5) return 1;
    long hold = atol(argument[1]) * 256, grow = atol(argument[2]) * 256, used = atol(argument[4]) * 256;
    double rate = atof(argument[3]) * 256;
    signal(SIGUSR1, begin);
    char *memory = mmap(0, (hold + grow) * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return 1;
    for (long page = 0; page < hold; page++) memory[page * 4096] = 1;
    puts("ready");
    fflush(stdout);
    double due = now(), from = 0, took = 0, longest = 0;
    long grown = 0, faulted = 0, lines = 0;
    srandom(1);
    while (used || !begun || grown < grow) {
        double start = now();
        if (begun && !from) from = start;
        if (from && grow)
            for (; grown < grow && grown < (start - from) * rate; grown++) memory[(hold + grown) * 4096] = 1;
        if (used && start >= due) {
            long before = faults();
            for (int touch = 0; touch < 1024; touch++) memory[random() % used * 4096]++;
            double end = now();
            faulted += faults() - before;
            took += end - start;
            if (end - due > longest) longest = end - due;
            due += 0.1;
            if (from && end - from >= lines + 1) {
                printf("%ld %ld %.0f %.0f\n", ++lines, faulted, faulted ? took / faulted * 1e6 : 0, longest * 1e3);
                fflush(stdout);
                faulted = 0;
                took = longest = 0;
            }
        }
        if (used ? now() < due : 1) usleep(2000);
    }
    pause();
}
"""
GROUP = pathlib.Path("/sys/fs/cgroup/memory/shortage")
MIB = 1 << 20
GROW_MB, WANTED_MB = 500, 700


def start(program, *arguments):
    def enter():
        (GROUP / "cgroup.procs").write_text(str(os.getpid()))

    process = subprocess.Popen([program, *map(str, arguments)], preexec_fn=enter, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    return process


def swapped_mb(process):
    return int(re.search(r"VmSwap:\s+(\d+)", pathlib.Path(f"/proc/{process.pid}/status").read_text())[1]) // 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=100, help="MiB a second that the two grow together")
    parser.add_argument("--seconds", type=int, default=15)
    options = parser.parse_args()
    GROUP.mkdir()
    processes = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            program = f"{folder}/hold"
            subprocess.run(["gcc", "-O2", "-x", "c", "-o", program, "-"], input=SOURCE, text=True, check=True)
            idle = start(program, 300, 0, 0, 0)
            used = start(program, 1100, 0, 0, 350)
            others = start(program, 900, 0, 0, 0)
            growers = [start(program, 600, GROW_MB, options.rate / 2, 0) for _ in range(2)]
            processes = [idle, used, others, *growers]
            time.sleep(3)
            held = int(re.search(r"total_rss (\d+)", (GROUP / "memory.stat").read_text())[1])
            limit = held + (2 * GROW_MB - WANTED_MB) * MIB
            (GROUP / "memory.limit_in_bytes").write_text(str(limit))
            for process in [used, *growers]:
                process.send_signal(signal.SIGUSR1)
            print("second  idle MiB  used MiB  faults  us each  longest ms")
            for _ in range(options.seconds):
                second, faults, each, longest = used.stdout.readline().split()
                print(f"{second:>6} {swapped_mb(idle):>9} {swapped_mb(used):>9} {faults:>7} {each:>8} {longest:>11}", flush=True)
    finally:
        for process in processes:
            process.kill()
            process.wait()
        GROUP.rmdir()


if __name__ == "__main__":
    main()
