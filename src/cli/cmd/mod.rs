//! The commands, one file per family.

pub(crate) mod completion;
pub(crate) mod context;
pub(crate) mod control;
pub(crate) mod create;
pub(crate) mod daemon;
pub(crate) mod dial;
pub(crate) mod exec;
pub(crate) mod images;
pub(crate) mod import;
pub(crate) mod inspect;
pub(crate) mod logs;
pub(crate) mod networks;
pub(crate) mod port;
pub(crate) mod ps;
pub(crate) mod run;
pub(crate) mod stats;
pub(crate) mod system;
pub(crate) mod usage;
