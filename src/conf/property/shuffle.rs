//! Rows: pages, sorting, spilling, shuffles and compression.

use super::prelude::*;

#[rustfmt::skip]
pub(super) static ROWS: &[Property] = &[
    p("spark.buffer.pageSize", Size(Byte), Unset, Modelled, "Size of a memory page of operators; unset, it follows from region and cores.").positive(Ours("a page of at least one byte")),
    p("spark.shuffle.spill.initialMemoryThreshold", Size(Byte), Value("5242880"), Modelled, "Bytes of an in-memory collection before it first asks for memory.").whole(0, i64::MAX, Ours("a size of 0 or more")),
    p("spark.shuffle.spill.numElementsForceSpillThreshold", Int, Value("2147483647"), Modelled, "Records after which an operator spills even with memory left.").positive(Ours("a number of records, 1 or more")),
    p("spark.shuffle.spill.maxSizeInBytesForSpillThreshold", Size(Byte), Value("9223372036854775807"), Modelled, "Bytes after which an operator spills even with memory left.").since(4, 1).positive(Entry("The threshold should be positive.")),
    p("spark.shuffle.spill.compress", Bool, Value("true"), NotModelled, "Whether spill files of sorted shuffle data are compressed."),
    p("spark.shuffle.compress", Bool, Value("true"), NotModelled, "Whether shuffle files are compressed."),
    p("spark.shuffle.spill.batchSize", Long, Value("10000"), NotModelled, "Records between two resets of the serializer in spill files."),
    p("spark.shuffle.spill.diskWriteBufferSize", Size(Byte), Value("1048576"), NotModelled, "Buffer in which sorted records are copied on their way to disk.").whole(13, 2_147_483_632, Entry("The buffer size must be greater than 12 and less than or equal to 2147483632.")),
    p("spark.shuffle.file.buffer", Size(Kib), Value("32k"), NotModelled, "Buffer of each open shuffle file.").whole(1, 2_097_151, Entry("The file buffer size must be positive and less than or equal to 2097151.")),
    p("spark.shuffle.unsafe.file.output.buffer", Size(Kib), Value("32k"), NotModelled, "Buffer of each partition when shuffle spills are merged.").whole(1, 2_097_151, Entry("The buffer size must be positive and less than or equal to 2097151.")),
    p("spark.shuffle.sort.bypassMergeThreshold", Int, Value("200"), Modelled, "Most partitions for which a shuffle without aggregation writes one file each and sorts nothing."),
    p("spark.shuffle.sort.initialBufferSize", Size(Byte), Value("4096"), Modelled, "Records that the pointer array of a serialized shuffle holds at first (a count, though written as a size).").whole(1, 2_147_483_647, Entry("The buffer size must be greater than 0 and less than or equal to 2147483647.")),
    p("spark.shuffle.sort.useRadixSort", Bool, Value("true"), Modelled, "Whether serialized shuffles sort with radix sort, which wants its array twice."),
    p("spark.shuffle.service.enabled", Bool, Value("false"), Modelled, "Whether shuffle files outlive their executor."),
    p("spark.shuffle.service.fetch.rdd.enabled", Bool, Value("false"), NotModelled, "Whether cached blocks on disk outlive their executor.").since(3, 0),
    p("spark.reducer.maxSizeInFlight", Size(Mib), Value("48m"), NotModelled, "Most shuffle bytes that a reduce task fetches at once.").positive(Ours("a size of at least 1 MiB")),
    p("spark.reducer.maxReqsInFlight", Int, Value("2147483647"), NotModelled, "Most requests that a reduce task has open at once."),
    p("spark.network.maxRemoteBlockSizeFetchToMem", Size(Byte), Value("200m"), NotModelled, "Remote blocks larger than this go to disk."),
    p("spark.shuffle.minNumPartitionsToHighlyCompress", Int, Value("2000"), NotModelled, "Partitions above which map statuses keep only an average size.").positive(Entry("The value should be a positive integer.")),
    p("spark.shuffle.accurateBlockThreshold", Size(Byte), Value("104857600"), NotModelled, "Blocks of at least this size are reported exactly even then."),
    p("spark.shuffle.mapOutput.minSizeForBroadcast", Size(Byte), Value("512k"), NotModelled, "Map statuses of at least this size are broadcast."),
    p("spark.unsafe.sorter.spill.reader.buffer.size", Size(Byte), Value("1048576"), NotModelled, "Buffer of each spill file that is being merged.").whole(1 << 20, 16 << 20, Entry("The value must be in allowed range [1,048,576, 16,777,216].")),
    p("spark.unsafe.sorter.spill.read.ahead.enabled", Bool, Value("true"), NotModelled, "Whether each such file has a second buffer."),
    p("spark.io.compression.codec", Text, Value("lz4"), NotModelled, "Codec of shuffle, spill, broadcast and compressed cached data: lz4, lzf, snappy or zstd."),
    p("spark.io.compression.lz4.blockSize", Size(Byte), Value("32k"), NotModelled, "Block of the lz4 codec."),
    p("spark.io.compression.snappy.blockSize", Size(Byte), Value("32k"), NotModelled, "Block of the snappy codec."),
    p("spark.io.compression.zstd.bufferSize", Size(Byte), Value("32k"), NotModelled, "Buffer of the zstd codec."),
    p("spark.serializer", Text, Unset, NotModelled, "Class that serializes data; the workload gives serialized sizes instead."),
    p("spark.local.dir", Text, Unset, NotModelled, "Directories of spill and shuffle files; the host gives the disks instead."),
];
