//! Master URLs: where an application runs. The shapes are those that `SparkContext` and `spark-submit` accept; hosts and
//! ports in them are not kept, they change nothing here.

use std::fmt;

/// The cluster manager that a master URL names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Master {
    /// One JVM is driver and only executor (MODE-1).
    Local {
        /// Task slots; `None` for `*`, all processors of the host.
        cores: Option<u32>,
        /// How often a task may fail: 1 unless the URL says more (`local[N,F]`).
        max_failures: u32,
    },
    /// Several executor JVMs on one host (MODE-2).
    LocalCluster {
        /// Number of workers, each with one executor unless the conf divides it.
        executors: u32,
        /// Cores of each worker.
        cores: u32,
        /// Memory of each worker that executors may reserve, MiB.
        memory_mib: u32,
    },
    /// A standalone master, `spark://host:port`.
    Standalone,
    /// Hadoop YARN.
    Yarn,
    /// Kubernetes, `k8s://…`.
    Kubernetes,
}

/// A master URL that Spark or this program refuses, in the words to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterError {
    /// What was given.
    pub text: String,
    /// Why, as Spark says it where it says anything.
    pub message: String,
}

/// What is accepted, for messages.
pub const MASTER_FORMS: &str = "local, local[N], local[*], local[N,F], local-cluster[n,cores,MiB], spark://HOST:PORT, \
                                yarn, or k8s://URL";

impl Master {
    /// Parses a master URL.
    ///
    /// # Errors
    /// What Spark refuses, in its words, and Mesos, which is not modelled.
    pub fn parse(text: &str) -> Result<Self, MasterError> {
        let error = |message: String| Err(MasterError { text: text.to_owned(), message });
        let unknown = || error(format!("Could not parse Master URL: '{text}'"));
        if text == "local" {
            return Ok(Self::Local { cores: Some(1), max_failures: 1 });
        }
        if let Some(inner) = bracketed(text, "local[") {
            let mut parts = inner.splitn(2, ',');
            let threads = parts.next().unwrap_or_default();
            let failures = parts.next();
            // `local[4]` allows no blank, `local[4, 2]` allows blanks around the comma only.
            let threads = if failures.is_some() { threads.trim_end() } else { threads };
            let Some(cores) = (if threads == "*" { Some(None) } else { digits(threads).map(Some) }) else {
                return unknown();
            };
            let Some(max_failures) = failures.map_or(Some(1), |text| digits(text.trim_start())) else {
                return unknown();
            };
            if cores == Some(0) {
                return error("Asked to run locally with 0 threads".to_owned());
            }
            if max_failures == 0 {
                return error("requirement failed: maxTaskFailures must be at least 1".to_owned());
            }
            return Ok(Self::Local { cores, max_failures });
        }
        if let Some(inner) = bracketed(text, "local-cluster[") {
            let numbers: Vec<Option<u32>> = inner.split(',').map(|part| digits(part.trim())).collect();
            let [Some(executors), Some(cores), Some(memory_mib)] = numbers[..] else { return unknown() };
            if executors == 0 || cores == 0 {
                return error(format!("'{text}' has no {}", if cores == 0 { "cores" } else { "workers" }));
            }
            return Ok(Self::LocalCluster { executors, cores, memory_mib });
        }
        match text {
            "yarn" => Ok(Self::Yarn),
            "yarn-client" | "yarn-cluster" => error(format!(
                "Master \"{text}\" is deprecated since 2.0. Please use master \"yarn\" with specified deploy mode instead."
            )),
            _ if text.strip_prefix("spark://").is_some_and(|rest| !rest.is_empty()) => Ok(Self::Standalone),
            _ if text.strip_prefix("k8s://").is_some_and(|rest| !rest.is_empty()) => Ok(Self::Kubernetes),
            _ if text.starts_with("mesos://") => error(format!("'{text}': Mesos is not modelled")),
            _ => unknown(),
        }
    }

    /// Whether driver and executor are one JVM.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Local { .. })
    }

    /// Whether a cluster manager sizes and limits the executors' containers.
    pub fn has_containers(&self) -> bool {
        matches!(self, Self::Yarn | Self::Kubernetes)
    }
}

impl fmt::Display for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local { cores, max_failures } => {
                let cores = cores.map_or_else(|| "*".to_owned(), |n| n.to_string());
                if *max_failures == 1 {
                    write!(f, "local[{cores}]")
                } else {
                    write!(f, "local[{cores},{max_failures}]")
                }
            }
            Self::LocalCluster { executors, cores, memory_mib } => {
                write!(f, "local-cluster[{executors},{cores},{memory_mib}]")
            }
            Self::Standalone => f.write_str("standalone"),
            Self::Yarn => f.write_str("yarn"),
            Self::Kubernetes => f.write_str("kubernetes"),
        }
    }
}

impl fmt::Display for MasterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for MasterError {}

fn bracketed<'a>(text: &'a str, open: &str) -> Option<&'a str> {
    text.strip_prefix(open)?.strip_suffix(']')
}

fn digits(text: &str) -> Option<u32> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mode_1_and_2_urls() {
        let local = |cores, max_failures| Master::Local { cores, max_failures };
        for (text, master) in [
            ("local", local(Some(1), 1)),
            ("local[4]", local(Some(4), 1)),
            ("local[*]", local(None, 1)),
            ("local[2,3]", local(Some(2), 3)),
            ("local[* , 3]", local(None, 3)),
            ("local-cluster[2, 1 ,1024]", Master::LocalCluster { executors: 2, cores: 1, memory_mib: 1024 }),
            ("spark://a:7077,b:7077", Master::Standalone),
            ("yarn", Master::Yarn),
            ("k8s://https://example.invalid:6443", Master::Kubernetes),
        ] {
            assert_eq!(Master::parse(text), Ok(master), "{text}");
        }
    }

    #[test]
    fn refused_urls_keep_sparks_words() {
        for (text, words) in [
            ("local[x]", "Could not parse Master URL: 'local[x]'"),
            ("local[ 4]", "Could not parse Master URL: 'local[ 4]'"),
            ("local-cluster[2,1]", "Could not parse Master URL: 'local-cluster[2,1]'"),
            ("local[0]", "Asked to run locally with 0 threads"),
            ("spark://", "Could not parse Master URL: 'spark://'"),
            ("", "Could not parse Master URL: ''"),
        ] {
            assert_eq!(Master::parse(text).map_err(|e| e.message), Err(words.to_owned()), "{text}");
        }
        assert!(Master::parse("yarn-cluster").is_err() && Master::parse("mesos://m").is_err());
    }

    #[test]
    fn shown_text_parses_back() {
        for text in ["local[4]", "local[*]", "local[2,3]", "local-cluster[2,1,1024]", "yarn"] {
            assert_eq!(Master::parse(text).expect(text).to_string(), text);
        }
    }
}
