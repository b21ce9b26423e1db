//! A Core, with its Keeper inside.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    mneme_binaries::server::core()
}
