//! Processes and containers of an application: how large each container is, how many executors there are, and what the
//! memory manager of each is told. Follows `ResourceProfile`, the YARN and Kubernetes clients and `deploy.master.Master`.
//! Time, failures and replacement of executors are `sim`'s.

pub mod container;
pub mod executors;

pub use container::{ContainerSize, YarnLimits};
pub use executors::{ClusterPlan, DriverSpec, ExecutorSpec, HostShape, PlanInput, plan};
