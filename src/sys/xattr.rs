//! Extended attributes. xattr(7).
