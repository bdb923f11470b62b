"""Makes the logs of tests/data/eventlog/hard with real Spark: make_logs.py KIND OUT_DIR

    for kind in parallel streaming rdd retried caught driver_killed speculation executor_lost dynamic; do
        python make_logs.py $kind /tmp/logs/$kind
    done

Needs pyspark 4.1; each takes seconds. Host names and paths were made neutral afterwards.
"""
import os, signal, sys, threading, time
from pyspark import TaskContext
from pyspark.sql import SparkSession, functions as F

kind, out = sys.argv[1:3]
os.makedirs(out, exist_ok=True)
clusters = {"speculation": "local-cluster[2,1,512]", "executor_lost": "local-cluster[2,1,512]", "dynamic": "local-cluster[2,1,512]"}
builder = (SparkSession.builder.appName(kind).master(clusters.get(kind, "local[2]" if kind != "retried" else "local[2,3]"))
           .config("spark.ui.enabled", "false").config("spark.eventLog.rolling.enabled", "false").config("spark.eventLog.enabled", "true").config("spark.eventLog.dir", "file://" + out)
           .config("spark.eventLog.compress", str(kind != "driver_killed").lower()).config("spark.sql.shuffle.partitions", "4")
           .config("spark.driver.memory", "512m").config("spark.executor.memory", "512m"))
if kind == "speculation":
    builder = (builder.config("spark.speculation", "true").config("spark.speculation.multiplier", "1.2")
               .config("spark.speculation.quantile", "0.5").config("spark.speculation.interval", "50ms"))
if kind == "dynamic":
    builder = (builder.config("spark.dynamicAllocation.enabled", "true").config("spark.dynamicAllocation.shuffleTracking.enabled", "true")
               .config("spark.dynamicAllocation.minExecutors", "0").config("spark.dynamicAllocation.maxExecutors", "2")
               .config("spark.dynamicAllocation.executorIdleTimeout", "1s"))
spark = builder.getOrCreate()
sc = spark.sparkContext


def query(rows, groups=50):
    return spark.range(0, rows, 1, 4).groupBy((F.col("id") % groups).alias("k")).agg(F.sum("id"), F.count("*"))


if kind == "parallel":
    threads = [threading.Thread(target=lambda n=n: query(200_000 * n).collect()) for n in (1, 2, 3)]
    [t.start() for t in threads]; [t.join() for t in threads]
elif kind == "streaming":
    stream = spark.readStream.format("rate").option("rowsPerSecond", 500).load()
    q = (stream.groupBy(F.window("timestamp", "1 second")).count().writeStream.outputMode("complete").format("memory")
         .queryName("t").trigger(processingTime="1 second").start())
    q.awaitTermination(60); q.stop()
elif kind == "rdd":
    print(sc.parallelize(range(20_000), 4).map(lambda x: (x % 10, x)).reduceByKey(lambda a, b: a + b, 3).collect()[:2])
elif kind == "retried":
    def sometimes(x):
        if TaskContext.get().attemptNumber() == 0 and TaskContext.get().partitionId() == 1:
            raise ValueError("first attempts of partition 1 fail")
        return (x % 5, 1)
    print(sc.parallelize(range(1_000), 3).map(sometimes).reduceByKey(lambda a, b: a + b).collect())
elif kind == "caught":
    @F.udf("long")
    def bad(x):
        raise ValueError("never works")
    try:
        spark.range(100).select(bad("id")).collect()
    except Exception as error:
        print("caught", type(error))
    query(100_000).collect()
elif kind == "driver_killed":
    query(100_000).collect()
    t = threading.Thread(target=lambda: query(400_000_000, 1_000_000).collect(), daemon=True); t.start()
    time.sleep(3); os.kill(sc._gateway.proc.pid, signal.SIGKILL); os._exit(0)
elif kind == "speculation":
    def slow(x):
        if x == 5 and TaskContext.get().attemptNumber() == 0:
            time.sleep(6)
        time.sleep(0.2)
        return x
    print(sc.parallelize(range(6), 6).map(slow).collect())
elif kind == "executor_lost":
    def kill(index, rows):
        if TaskContext.get().attemptNumber() == 0 and index == 3:
            jvm = int(os.popen("ps -o ppid= -p %d" % os.getppid()).read())
            os.kill(jvm, signal.SIGKILL); time.sleep(5)
        return [(index % 2, sum(rows))]
    print(sc.parallelize(range(1_000), 4).mapPartitionsWithIndex(kill).reduceByKey(lambda a, b: a + b).collect())
elif kind == "dynamic":
    query(300_000).collect(); time.sleep(4); query(200_000).collect()
spark.stop()
