"""Spreads a spillcast study over a Spark cluster: RDD.pipe hands points to `spillcast sweep` on the executors.

    spillcast sweep job.toml --vary spark.executor.memory=512m..8g:log:9 --replications 20 --list-points > points.jsonl
    spark-submit scripts/sweep_on_spark.py points.jsonl runs.jsonl spillcast sweep job.toml
    spillcast merge runs.jsonl --out study

The program and INPUT must be at the same place on every worker, and the command the same as the one that listed the points
(--conf included); a run of another version, application or configuration is refused. The merged study has the same bytes
as one that ran on a single machine.
"""

import shlex
import sys

from pyspark.sql import SparkSession

# Points take unequal time: several portions a slot even that out.
PORTIONS_A_SLOT = 4


def main():
    if len(sys.argv) < 4:
        sys.exit("usage: sweep_on_spark.py POINTS RUNS COMMAND...  (COMMAND as: spillcast sweep job.toml)")
    points, runs, *command = sys.argv[1:]
    with open(points, encoding="utf-8") as file:
        lines = file.read().splitlines()
    context = SparkSession.builder.appName("spillcast sweep").getOrCreate().sparkContext
    portions = max(1, min(len(lines), PORTIONS_A_SLOT * context.defaultParallelism))
    pipe = shlex.join([*command, "--points", "-", "--jsonl", "--quiet"])
    results = context.parallelize(lines, portions).pipe(pipe, checkCode=True)
    with open(runs, "w", encoding="utf-8") as file:
        for line in results.toLocalIterator():
            file.write(line + "\n")


if __name__ == "__main__":
    main()
