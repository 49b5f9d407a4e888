//! The one binary; all it does is in the library.

#![cfg_attr(target_env = "gnu", no_main)]

#[cfg(target_env = "gnu")]
skiff::main_for_glibc!(skiff::main);

#[cfg(not(target_env = "gnu"))]
fn main() -> std::process::ExitCode {
    skiff::main().into()
}
