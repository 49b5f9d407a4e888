//! The container's log: json-file format, writer with rotation, reader, follower.
