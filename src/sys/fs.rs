//! Files by descriptor: openat2, statx, mknodat, and their kin.
