//! Installing a seccomp filter. seccomp(2).
