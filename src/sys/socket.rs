//! Unix sockets that carry descriptors; peer credentials. unix(7).
