//! The program; see `spillcast::cli`.

fn main() {}
