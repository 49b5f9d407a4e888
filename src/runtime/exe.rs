//! The binary that monitors are started from.
