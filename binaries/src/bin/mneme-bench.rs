//! The load generator.

fn main() -> std::process::ExitCode {
    mneme_binaries::bench::main()
}
