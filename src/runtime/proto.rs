//! Messages between daemon and monitor.
//!
//! One message is one packet on a SOCK_SEQPACKET unix socket: JSON, with descriptors beside it
//! where noted. An old monitor may meet a new daemon and the other way round: messages and fields
//! are added, never changed; an unknown request is answered with `Unsupported`.
