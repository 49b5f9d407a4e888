//! Capabilities of the calling thread. capabilities(7).
