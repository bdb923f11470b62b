//! What a row costs where a scenario does not say: time of each step, and how much data shrinks.
//!
//! Calibrated, coarsely. *Measured* constants were split by hand from the executor run time (less GC) of whole stages,
//! one run each, of Spark 4.1 jobs on 2 shared virtual cores with JIT compilation included (parquet of 28 to 60 bytes a
//! row); splitting a stage among its steps is a judgement. Their sums are within 20 % of the eight stages they come from; no
//! other run has been tried.
//! *Assumed* ones were set by comparison with their neighbours and no run stands behind them. An import replaces both.

/// Reading one row of files, ns: decoding and generated code. Measured.
pub(super) const SCAN_NS_PER_ROW: f64 = 250.0;
/// Reading files, ns a stored byte: decompression. Measured.
pub(super) const SCAN_NS_PER_BYTE: f64 = 5.0;
/// Making one row out of nothing (`spark.range` with a few expressions), ns. Assumed.
pub(super) const GENERATE_NS_PER_ROW: f64 = 60.0;
/// Row by row work in generated code, ns. Assumed.
pub(super) const PIPELINED_NS_PER_ROW: f64 = 30.0;
/// One probe and update of a hash map of groups, ns. Measured.
pub(super) const AGGREGATE_NS_PER_ROW: f64 = 250.0;
/// Adding a value to a Java object (`collect_list`), ns: 1.6 us a row in all, less scan and exchange. Measured.
pub(super) const OBJECT_AGGREGATE_NS_PER_ROW: f64 = 900.0;
/// Inserting a row into a sorter and sorting it, ns; a task of some 100,000 rows. Measured.
pub(super) const SORT_NS_PER_ROW: f64 = 400.0;
/// Merging two sorted inputs, ns a row of either. Assumed.
pub(super) const MERGE_NS_PER_ROW: f64 = 100.0;
/// Building or probing a hash relation, ns. Assumed.
pub(super) const HASH_JOIN_NS_PER_ROW: f64 = 150.0;
/// Evaluating a window over a sorted row, ns. Assumed.
pub(super) const WINDOW_NS_PER_ROW: f64 = 200.0;
/// Hash map of Java objects in RDD code, ns. Assumed.
pub(super) const RDD_NS_PER_ROW: f64 = 600.0;
/// A row through a Python worker and back, ns. Measured.
pub(super) const PYTHON_NS_PER_ROW: f64 = 4_000.0;
/// Writing a row to a shuffle, ns. Measured.
pub(super) const EXCHANGE_WRITE_NS_PER_ROW: f64 = 150.0;
/// Writing to a shuffle, ns a serialized byte: copy and compression. Measured.
pub(super) const EXCHANGE_WRITE_NS_PER_BYTE: f64 = 3.5;
/// Reading a row from a shuffle, ns. Measured.
pub(super) const EXCHANGE_READ_NS_PER_ROW: f64 = 100.0;
/// Reading from a shuffle, ns a serialized byte. Measured.
pub(super) const EXCHANGE_READ_NS_PER_BYTE: f64 = 1.0;
/// Encoding a row into column batches of a cached table, ns. Measured.
pub(super) const CACHE_NS_PER_ROW: f64 = 750.0;
/// Encoding a row of a result for the driver, ns. Assumed.
pub(super) const COLLECT_NS_PER_ROW: f64 = 150.0;
/// Writing files, ns a byte in memory: encoding and compression of parquet. Assumed.
pub(super) const WRITE_NS_PER_BYTE: f64 = 40.0;
/// Building a broadcast relation on the driver, ns a row. Assumed.
pub(super) const BROADCAST_BUILD_NS_PER_ROW: f64 = 200.0;

/// Stored bytes for one byte of a row in memory: parquet drops null words and padding and packs small numbers. Assumed.
pub(super) const STORED_SHARE: f64 = 0.5;
/// Compressed bytes for one serialized byte (lz4): 0.3 for numbers, 0.8 for random text. Assumed.
pub(super) const COMPRESSION: f64 = 0.5;
/// Row bytes where neither rows nor sizes tell: a null word and seven columns. Assumed.
pub(super) const ROW_BYTES: u64 = 64;
/// Heap bytes of a boxed key with its boxed value in a hash map of RDD code. Assumed.
pub(super) const RDD_ENTRY_BYTES: u64 = 100;
/// Rows of a column batch: `spark.sql.inMemoryColumnarStorage.batchSize` (CACHE-1).
pub(super) const CACHE_BATCH_ROWS: u64 = 10_000;
