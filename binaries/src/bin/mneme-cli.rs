//! The command line client.

fn main() -> std::process::ExitCode {
    mneme_binaries::cli::main()
}
