//! (being written)

pub use storage_level::StorageLevel;
mod storage_level;
