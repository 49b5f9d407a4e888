//! The one binary; all it does is in the library.

fn main() -> std::process::ExitCode {
    skiff::main()
}
