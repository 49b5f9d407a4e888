//! Processes: clone3, pidfds, wait, exec, resource limits.
