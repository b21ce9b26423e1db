//! What the servers' `main` functions do.

use std::io::IsTerminal;
use std::process::ExitCode;

use mneme_driver::keeper::Schedule;
use mneme_kernel::facade::{Endpoint, Facade, Reach};
use mneme_kernel::limits;
use mneme_kernel::script::Times;
use mneme_runtime_real::server::{self, CoreSettings, Options};
use mneme_runtime_real::trust::KeyFiles;

use crate::address::HostPort;
use crate::config::{
    self, EXIT_BAD_CONFIGURATION, KeeperPlace, Loaded, LogFormat, Machine, Program, ReadSafety, Role, Settings, load,
};
use crate::health;

/// The exit code of a server whose data is damaged or foreign.
const EXIT_DAMAGED_DATA: u8 = 3;

/// A Core, with its Keeper inside unless told otherwise.
pub fn core() -> ExitCode {
    let machine = Machine::this();
    let settings = match configured(Program::Core, &machine) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    // A Replica takes no part in the Raft group.
    let embedded = settings.keeper == KeeperPlace::Embedded && settings.role == Role::Core;
    let keeper = embedded.then(|| schedule(&settings));
    let core = core_settings(&settings);
    run(Program::Core, options(settings, Some(core), keeper, &machine))
}

/// A Keeper alone.
pub fn keeper() -> ExitCode {
    let machine = Machine::this();
    match configured(Program::Keeper, &machine) {
        Ok(settings) => {
            let keeper = schedule(&settings);
            run(Program::Keeper, options(settings, None, Some(keeper), &machine))
        }
        Err(code) => code,
    }
}

/// Makes the mistake that `MNEME_MUTANT` names, so that `jepsen/` can show that it finds it.
#[cfg(mneme_mutants)]
fn make_mistake() {
    use mneme_kernel::mutant::{Mutant, choose};

    let Ok(wanted) = std::env::var("MNEME_MUTANT") else { return };
    let known = Mutant::ALL.into_iter().find(|(name, _)| *name == wanted);
    choose(known.unwrap_or_else(|| panic!("MNEME_MUTANT: there is no mutant {wanted}")).1);
}

fn run(program: Program, options: Options) -> ExitCode {
    #[cfg(mneme_mutants)]
    make_mistake();
    match server::run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", program.name());
            if error.is_bad_configuration() {
                ExitCode::from(EXIT_BAD_CONFIGURATION)
            } else if error.is_damage() {
                ExitCode::from(EXIT_DAMAGED_DATA)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

/// Reads the settings and starts logging; an exit code if that is all there is to do.
fn configured(program: Program, machine: &Machine) -> Result<Settings, ExitCode> {
    let loaded = load(program, std::env::args_os(), std::env::vars_os(), machine);
    let Loaded { settings, warnings, health_check } = loaded.map_err(|stop| stop.report())?;
    if health_check {
        return Err(health::check(settings.admin_listen));
    }
    log_as(&settings);
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    Ok(settings)
}

fn log_as(settings: &Settings) {
    use tracing_subscriber::filter::Targets;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;
    // openraft reports its every step at `info`; what it means to an operator is reported by this program.
    let quiet = settings.log_level.min(tracing::level_filters::LevelFilter::WARN);
    let quieter =
        if settings.log_level > tracing::level_filters::LevelFilter::INFO { settings.log_level } else { quiet };
    let filter = Targets::new().with_default(settings.log_level).with_target("openraft", quieter);
    let output =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let registry = tracing_subscriber::registry().with(filter);
    match settings.log_format {
        LogFormat::Text => registry.with(output.with_target(false)).init(),
        LogFormat::Json => registry.with(output.json()).init(),
    }
}

fn options(settings: Settings, core: Option<CoreSettings>, keeper: Option<Schedule>, machine: &Machine) -> Options {
    Options {
        names: names(&settings, core.as_ref(), machine),
        core,
        keeper,
        admin_listen: settings.admin_listen,
        cluster_listen: settings.cluster_listen,
        advertise: (settings.advertise.host, settings.advertise.port),
        join: settings.join.iter().map(ToString::to_string).collect(),
        expect_keepers: settings.expect_keepers as usize,
        reads: settings.newest_format,
        cluster_secret: settings.cluster_secret.map(|secret| secret.expose().to_string()),
        node: settings.node,
        data: settings.data,
    }
}

/// What stands in the node's certificate.
fn names(settings: &Settings, core: Option<&CoreSettings>, machine: &Machine) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(String::from).to_vec();
    names.push(machine.host_name.clone());
    names.extend(
        [&settings.advertise, &settings.advertise_clients, &settings.advertise_reads].map(|at| at.host.clone()),
    );
    names.extend(settings.tls_san.iter().cloned());
    let listened = core.into_iter().flat_map(|core| [core.listen, core.read_listen]);
    names.extend(listened.map(|address| address.ip()).filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string()));
    names.sort_unstable();
    names.dedup();
    names
}

fn schedule(settings: &Settings) -> Schedule {
    Schedule { log_bytes: settings.snapshot_log_bytes, interval: settings.snapshot_interval }
}

fn core_settings(settings: &Settings) -> CoreSettings {
    CoreSettings {
        parameters: parameters(settings),
        settings: settings.written.clone(),
        listen: settings.listen,
        read_listen: settings.read_listen,
        unix_socket: settings.unix_socket.clone().map(|path| (path, settings.unix_socket_mode)),
        threads: settings.threads,
        max_clients: settings.max_clients as u64,
        max_memory: settings.maxmemory.map_or(0, |bytes| bytes.get()),
        memory_policy: settings.maxmemory_policy,
        facade: facade(settings),
        level_timeout: settings.level_timeout,
        script_times: Times { timeout: settings.script_timeout, kill_after: settings.script_kill_after },
        park_timeout: settings.park_timeout,
        replica: settings.role == Role::Replica,
        quorum_check: settings.reads == ReadSafety::QuorumCheck,
        default_user: settings.default_user.clone(),
        default_level: settings.default_consistency,
        tls: settings.tls.clone().map(|files| KeyFiles { certificate: files.cert, key: files.key }),
        admin_password: settings.admin_password.as_ref().map(|secret| secret.expose().as_bytes().to_vec()),
    }
}

fn facade(settings: &Settings) -> Facade {
    let is = |facade| settings.facade.contains(&facade);
    let endpoint = |address: &HostPort| Endpoint { host: address.host.clone(), port: address.port };
    Facade {
        cluster: is(config::Facade::Cluster),
        sentinel: is(config::Facade::Sentinel).then(|| settings.sentinel_name.clone()),
        reach: Reach { main: endpoint(&settings.advertise_clients), read: endpoint(&settings.advertise_reads) },
    }
}

/// What `CONFIG GET` shows: Redis's names where clients ask for them, with what is true here.
fn parameters(settings: &Settings) -> Vec<(String, String)> {
    let file = settings.file.iter().map(|path| ("config", path.clone()));
    let parameters = [
        ("appendfsync", "always".to_string()),
        ("appendonly", "yes".into()),
        ("bind", settings.listen.ip().to_string()),
        ("databases", limits::DATABASES.to_string()),
        ("default-consistency", settings.default_consistency.to_string()),
        ("default-user", settings.default_user.clone()),
        ("dir", settings.data.display().to_string()),
        ("level-timeout", format!("{}ms", settings.level_timeout.as_millis())),
        ("node", settings.node.clone()),
        ("port", "0".into()),
        ("proto-max-bulk-len", limits::MAX_BULK.to_string()),
        ("replica-read-only", "yes".into()),
        ("save", String::new()),
        ("threads", settings.threads.to_string()),
        ("timeout", "0".into()),
        ("tls-port", settings.listen.port().to_string()),
    ];
    parameters.into_iter().chain(file).map(|(name, value)| (name.to_string(), value)).collect()
}
