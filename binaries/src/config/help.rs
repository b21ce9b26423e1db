//! The flags, and `--help` with the values in force.

use clap::{Arg, ArgAction, Command};

use super::secret::SECRETS;
use super::table::GROUPS;
use super::values::{Given, Origin, Values};
use super::{Environment, Machine, Program};

/// The flags of a program, derived from the table; each one's help tells its value and where that comes from.
pub fn command(program: Program, values: &Values) -> Command {
    let about = match program {
        Program::Core => "A Core of Mneme, with its Keeper inside unless told otherwise",
        Program::Keeper => "A Keeper of Mneme: log, snapshots and a vote",
    };
    let settings = GROUPS.iter().flat_map(|group| {
        let mine = group.settings.iter().filter(move |s| s.is_of(program));
        mine.map(|setting| {
            Arg::new(setting.name)
                .long(setting.name)
                .value_name(setting.value)
                .help(meaning(values.get(setting.name)))
                .help_heading(group.heading)
        })
    });
    Command::new(program.name())
        .about(about)
        .version(env!("CARGO_PKG_VERSION"))
        .override_usage(format!("{} [--FLAG VALUE]...", program.name()))
        .term_width(100)
        .disable_help_flag(true)
        .arg(help_flag())
        .arg(health_flag())
        .arg(Arg::new("config").long("config").value_name("FILE").help("Settings in TOML"))
        .args(settings)
}

/// What `--help` answers. A configuration that cannot be read is no reason to withhold it.
pub fn text(program: Program, machine: &Machine, values: Result<Values, String>, env: &Environment) -> String {
    let (values, problem) = match values {
        Ok(values) => (values, String::new()),
        Err(problem) => (Values::defaults(machine), format!("\n\nBut now: {problem}")),
    };
    let footer = format!("{}\n{PRECEDENCE}{problem}", secrets(env));
    command(program, &values).after_help(footer).render_help().to_string()
}

const PRECEDENCE: &str = "Every flag is also a key of the file (dashes as underscores) and a variable of the \
    environment (MNEME_ and upper case, such as MNEME_LISTEN; the file itself: MNEME_CONFIG). \
    Later wins: file, environment, flag.";

/// Our own, so that it is answered after file and environment have been read.
fn help_flag() -> Arg {
    let help = "Print this help, with the values in force";
    Arg::new("help").long("help").short('h').action(ArgAction::SetTrue).help(help)
}

fn health_flag() -> Arg {
    let help = "Start nothing: ask the server with these settings whether it is ready; 0 if it is, else 1";
    Arg::new("healthcheck").long("healthcheck").action(ArgAction::SetTrue).help(help)
}

fn meaning(given: &Given) -> String {
    let (meaning, default) = (given.setting.meaning, given.setting.default.described());
    match (&given.origin, &given.text) {
        (Origin::Default, _) | (_, None) => format!("{meaning} [default: {default}]"),
        (_, Some(text)) => {
            let source = given.source();
            format!("{meaning} [now: {text}, from {source}; default: {default}]")
        }
    }
}

fn secrets(env: &Environment) -> String {
    let mut lines = "Secrets, from the environment or a file it names:\n".to_owned();
    for (variable, meaning) in SECRETS {
        let file = format!("{variable}_FILE");
        let set = |name: &str| env.contains_key(name).then(|| format!(" [now: from ${name}]"));
        let now = set(variable).or_else(|| set(&file)).unwrap_or_default();
        lines += &format!("  {variable}, or {file}: {meaning}{now}\n");
    }
    lines
}
