//! Constants of import that no single log tells: fitted to pairs of runs of the same job. Whatever the user's own log does
//! tell is taken from there instead (`calibrate`, `rates`).

/// The fitted constants. The defaults were chosen with all public pairs in view; docs/accuracy.md has what fitting to the other
/// families gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration {
    /// Processor time that tasks lose by running code that is not compiled yet, ns for each nanosecond that compiler
    /// threads work. Fitted to all families but one: 0.13 to 0.25; single jobs gave up to 0.9.
    pub interpreted_per_compiled: f64,
    /// Processor time that the tasks of an executor in a JVM of its own spend on loading and interpreting Spark's classes,
    /// ns; a driver that runs tasks itself has done so before. Fitted to all families but one: 2 to 2.8 s; single jobs gave 1
    /// to 2.5 s.
    pub executor_warm_up_ns: u64,
    /// Work of such an executor's compiler threads for Spark's own code, ns; between 0 and 0.5 s.
    pub executor_compile_ns: u64,
    /// Loading classes to deserialize the first tasks in such an executor, ns; 1.3 to 2.5 s.
    pub executor_launch_ns: u64,
    /// Fetching a stage's task binary into such an executor, ns; 40 to 120 ms.
    pub stage_launch_ns: u64,
    /// Opening, filling and deleting one file of the bypass shuffle writer with its compression stream, ns of processor.
    /// 0.25 ms (W9: 64 partitions, small rows), about 0.3 ms (own run, `repartition(200)` against `repartition(201)`), 1.1 ms
    /// (200 ranges, `w11bigorders-static200`): the default rests mainly on that last run. Why they differ was not traced.
    pub shuffle_file_ns: u64,
    /// Processor time of a task however little it does, ns: that of 342 more tasks of one small job, a task.
    pub task_fixed_ns: u64,
}

impl Default for Calibration {
    fn default() -> Self {
        Self {
            interpreted_per_compiled: 0.25,
            executor_warm_up_ns: 2_000_000_000,
            executor_compile_ns: 150_000_000,
            executor_launch_ns: 2_500_000_000,
            stage_launch_ns: 70_000_000,
            shuffle_file_ns: 1_000_000,
            task_fixed_ns: 2_000_000,
        }
    }
}
