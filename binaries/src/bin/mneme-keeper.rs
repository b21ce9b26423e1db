//! A Keeper alone.

fn main() -> std::process::ExitCode {
    mneme_binaries::server::keeper()
}
