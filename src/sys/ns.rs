//! Namespaces. namespaces(7).
