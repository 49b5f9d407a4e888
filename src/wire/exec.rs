//! Execs: programs beside a container's main one.

// The fields are the protocol's own words, explained in its reference.
#![allow(missing_docs)]

use serde::Serialize;

use crate::base::fields;
use crate::base::fields::string_or_list;

fields! {
    /// Body of `exec`.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct ExecCreate {
        pub attach_stdin as "AttachStdin": bool,
        pub attach_stdout as "AttachStdout": bool,
        pub attach_stderr as "AttachStderr": bool,
        pub detach_keys as "DetachKeys": String,
        pub tty as "Tty": bool,
        pub env as "Env": Option<Vec<String>>,
        pub cmd as "Cmd" by string_or_list: Option<Vec<String>>,
        pub privileged as "Privileged": bool,
        pub user as "User": String,
        pub working_dir as "WorkingDir": String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub console_size as "ConsoleSize": Option<[u16; 2]>,
    }
}

fields! {
    /// Answer of `exec`.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct ExecCreated {
        pub id as "Id": String,
    }
}

fields! {
    /// Body of `exec/{id}/start`.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct ExecStart {
        pub detach as "Detach": bool,
        pub tty as "Tty": bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub console_size as "ConsoleSize": Option<[u16; 2]>,
    }
}

/// Answer of `exec/{id}/json`.
#[derive(Debug, Serialize)]
pub struct ExecInspect {
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(rename = "Running")]
    pub running: bool,
    #[serde(rename = "ExitCode")]
    pub exit_code: Option<i32>,
    #[serde(rename = "ProcessConfig")]
    pub process: ProcessConfig,
    #[serde(rename = "OpenStdin")]
    pub open_stdin: bool,
    #[serde(rename = "OpenStderr")]
    pub open_stderr: bool,
    #[serde(rename = "OpenStdout")]
    pub open_stdout: bool,
    #[serde(rename = "CanRemove")]
    pub can_remove: bool,
    #[serde(rename = "ContainerID")]
    pub container_id: String,
    #[serde(rename = "DetachKeys")]
    pub detach_keys: String,
    #[serde(rename = "Pid")]
    pub pid: i32,
}

/// What an exec runs.
#[derive(Debug, Serialize)]
pub struct ProcessConfig {
    pub tty: bool,
    pub entrypoint: String,
    pub arguments: Vec<String>,
    pub privileged: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
}

fields! {
    /// The part of [`ExecInspect`] that tells how an exec stands.
    #[derive(Debug, Default, Serialize)]
    pub struct ExecStatus {
        pub running as "Running": bool,
        pub exit_code as "ExitCode": Option<i32>,
    }
}
