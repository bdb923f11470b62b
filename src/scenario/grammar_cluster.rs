//! The keys of machines and of who else is on them; part of the table of keys.

use super::grammar::{COUNT, Kind, Table, key, required};

pub(super) static HOST: Table = Table::new(
    "a host",
    &[
        key("name", Kind::Text, "Name in reports; `host` by default."),
        key("count", COUNT, "So many of them; 1 by default."),
        required("cores", COUNT, "Processors that the kernel schedules on."),
        required("memory", Kind::Size, "Memory of the machine."),
        key("kernel", Kind::Size, "What the kernel takes of it; 1/64 and 96m by default."),
        key(
            "stolen_cores",
            Kind::Number(0.0, 1e6),
            "Processors that the hypervisor withholds on average (`st` of top times `cores`); 0 by default.",
        ),
        key("swap", Kind::Size, "Swap space; none by default."),
        key("swap_device", Kind::Word(&["ssd", "network", "spinning"]), "Where it lies; ssd by default."),
        key(
            "swap_latency",
            Kind::Time,
            "Time of a random read from it, as \"1ms\"; the device's by default.",
        ),
        key("swap_bandwidth", Kind::Rate, "Bytes a second of it; the device's by default."),
        key(
            "local_dir_in_memory",
            Kind::Flag,
            "Spark's local files lie in memory (tmpfs); false by default.",
        ),
        key("disk", Kind::Size, "Room for Spark's local files; unlimited by default."),
        key("disk_bandwidth", Kind::Rate, "Bytes a second of the local disk; 400e6 by default."),
        key("network_bandwidth", Kind::Rate, "Bytes a second of the network; 1.25e9 by default."),
    ],
);

pub(super) static TENANT: Table = Table::new(
    "a tenant",
    &[
        required("name", Kind::Text, "Name in reports."),
        key("host", Kind::Text, "The host it runs on; every host by default."),
        required("resident", Kind::Size, "Memory that it holds."),
        key("active", Kind::Size, "Part of it that it keeps touching; all by default."),
        key("period", Kind::Time, "Time in which it touches each page of `active` once; 1s by default."),
        key("churn", Kind::Rate, "Garbage that it makes, bytes a second (a Java heap); none by default."),
        key("request_time", Kind::Time, "Time of a request on a quiet host; without it no latency is told."),
        key("request_memory", Kind::Size, "Part of `active` that a request touches; none by default."),
        key("request_block", Kind::Size, "Size of the pieces of it that lie together; 4k by default."),
        key(
            "request_every",
            Kind::Time,
            "Time between two requests; while they take longer they queue. By default none waits for another.",
        ),
        key("cores", Kind::Number(0.0, 1e6), "Processors that it keeps busy; 0 by default."),
        key("oom_score_adj", Kind::Signed(-1000, 1000), "As in /proc; 0 by default."),
        key(
            "qos",
            Kind::Word(&["guaranteed", "burstable", "best_effort"]),
            "Class in Kubernetes, which decides `oom_score_adj`; burstable requests what is resident.",
        ),
    ],
);
