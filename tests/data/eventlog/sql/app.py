"""The applications behind the logs in this folder, for Spark 4.1.4: app.py DATA NAME MASTER DRIVER_MEMORY [KEY=VALUE ...]

  app.py data generate 'local[2]' 2g
  app.py data window 'local[2]' 1g        # window-base; 512m: window-h512
  app.py data rollup 'local[2]' 1g        # rollup-base
  app.py data defaults 'local[2]' 1g spark.sql.adaptive.enabled=true spark.sql.files.maxPartitionBytes=128m \\
      spark.sql.autoBroadcastJoinThreshold=10m spark.sql.shuffle.partitions=200   # defaults-base
  app.py data skew 'local[2]' 1g          # skew-base
  app.py data skew 'local[2]' 1g spark.sql.adaptive.enabled=true spark.sql.adaptive.advisoryPartitionSizeInBytes=4m \\
      spark.sql.adaptive.skewJoin.skewedPartitionThresholdInBytes=4m              # skew-aqesk
  app.py data press 'local[2]' 1g own.level=md                                # press-base
  app.py data cachejoin 'local[2]' 1g                                         # cachejoin-base

The log goes to the folder `logs`.
"""

import os
import sys

from pyspark import StorageLevel
from pyspark.sql import SparkSession, Window
from pyspark.sql import functions as F

data, name, master, memory = sys.argv[1:5]
os.makedirs("logs", exist_ok=True)
conf = {
    "spark.eventLog.enabled": "true",
    "spark.eventLog.dir": "file://" + os.path.abspath("logs"),
    "spark.eventLog.compress": "true",
    "spark.eventLog.rolling.enabled": "false",
    "spark.eventLog.logBlockUpdates.enabled": "true",
    "spark.eventLog.logStageExecutorMetrics": "true",
    "spark.executor.metrics.pollingInterval": "500ms",
    "spark.ui.enabled": "false",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.files.maxPartitionBytes": "16m",
    "spark.sql.autoBroadcastJoinThreshold": "-1",
    "spark.sql.shuffle.partitions": "8",
}
conf.update(pair.split("=", 1) for pair in sys.argv[5:])
builder = SparkSession.builder.appName(name).master(master).config("spark.driver.memory", memory)
for key, value in conf.items():
    builder = builder.config(key, value)
spark = builder.getOrCreate()


def run(frame):
    frame.write.format("noop").mode("overwrite").save()


if name == "generate":
    spark.range(0, 4_000_000, 1, 8).select(
        F.pow(F.lit(2.0), F.abs(F.xxhash64("id")) % 20000 / 1000).cast("long").alias("k"),
        (F.xxhash64("id", F.lit(7)) % 1_000_000 / 1000.0).alias("v"),
        F.hex(F.xxhash64("id", F.lit(3))).alias("s"),
        (F.abs(F.xxhash64("id", F.lit(9))) % 500_000).alias("u"),
    ).write.mode("overwrite").parquet(data + "/ev")
    spark.range(0, 300_000, 1, 4).select("id", F.hex(F.xxhash64("id", F.lit(5))).alias("t"), (F.col("id") % 40).alias("c")).write.mode(
        "overwrite"
    ).parquet(data + "/dim")
else:
    events = spark.read.parquet(data + "/ev")
    table = spark.read.parquet(data + "/dim")
    if name == "window":
        by_user = Window.partitionBy("u").orderBy("v")
        run(events.withColumn("r", F.row_number().over(by_user)).withColumn("m", F.lag("s").over(by_user)).filter("r <= 3"))
    elif name == "rollup":
        groups = events.rollup((F.col("u") % 3000).alias("a"), (F.col("k") % 50).alias("b"))
        run(groups.agg(F.countDistinct("s").alias("n"), F.sum("v").alias("x")))
    elif name == "skew":
        hot = events.withColumn("j", F.when(F.col("v") < 300, F.lit(7).cast("long")).otherwise(F.col("u")))
        run(hot.join(table, hot.j == table.id).select("j", "s", "t", "v"))
    elif name == "press":
        # One name that is nobody's (own.level) is in the properties, as vendors' names are.
        cached = events.persist(StorageLevel.MEMORY_AND_DISK)
        cached.count()
        run(cached.groupBy("u", "s").agg(F.sum("v").alias("x"), F.max("k").alias("m")))
        cached.count()
        run(cached.orderBy("s"))
        cached.count()
    elif name == "cachejoin":
        sums = events.groupBy("u").agg(F.sum("v").alias("x"), F.max("s").alias("s"), F.max("k").alias("k")).persist(StorageLevel.MEMORY_AND_DISK)
        table.persist(StorageLevel.MEMORY_AND_DISK)
        sums.count()
        table.count()
        run(sums.join(table, sums.u == table.id).orderBy("s"))
        run(sums.groupBy((F.col("u") % 1000).alias("m")).agg(F.sum("x")))
    else:
        events.createOrReplaceTempView("e")
        table.createOrReplaceTempView("d")
        run(spark.sql("select d.c, count(distinct e.u) n, sum(e.v) x, max(e.s) m from e join d on e.u = d.id where e.k > 100 group by d.c order by x"))
        run(spark.sql("select e.u, e.s, d.t from e left join d on e.u = d.id where e.v > 300 order by e.s"))
spark.stop()
