//! The one list of settings.

use DefaultValue::{ClientAddress, ClusterAddress, Cpus, HostName, Is, Unset};
use Owner::{Core, Every};

use super::{Machine, Program};

/// A setting as it stands in the table. Its name is the flag; the other names are made from it.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// The flag without its leading dashes.
    pub name: &'static str,
    /// What `--help` calls the value.
    pub value: &'static str,
    pub default: DefaultValue,
    pub owner: Owner,
    pub meaning: &'static str,
}

/// The value where nobody gave one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultValue {
    Is(&'static str),
    HostName,
    Cpus,
    /// What other nodes dial: the cluster address, or the host name where that address is a wildcard.
    ClusterAddress,
    /// What clients dial: the address that is listened on for them, or the host that other nodes dial where that is a wildcard.
    ClientAddress,
    Unset,
}

/// Whose setting it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// `mneme-core`'s alone.
    Core,
    /// `mneme-keeper`'s too.
    Every,
}

/// Settings under one heading of `--help`.
#[derive(Debug)]
pub struct Group {
    pub heading: &'static str,
    pub settings: &'static [Setting],
}

#[rustfmt::skip] // One setting, one line.
pub const GROUPS: &[Group] = &[
    Group { heading: "This node", settings: &[
        row("data", "DIR", Is("./mneme-data"), Every, "The Keeper's log and snapshots, and the node's identity"),
        row("node", "NAME", HostName, Every, "This node's name, unique in the cluster"),
        row("role", "core|replica", Is("core"), Core, "A replica holds a copy for EVENTUAL reads and never becomes primary"),
        row("keeper", "embedded|none", Is("embedded"), Core, "none: the Keepers are other processes"),
        row("threads", "N", Cpus, Core, "Network threads"),
    ]},
    Group { heading: "Addresses", settings: &[
        row("listen", "ADDR", Is("127.0.0.1:6379"), Core, "Clients, TLS"),
        row("read-listen", "ADDR", Is("127.0.0.1:6380"), Core, "Clients, TLS, read-only, EVENTUAL"),
        row("unix-socket", "PATH", Unset, Core, "Clients on this machine, no TLS"),
        row("unix-socket-mode", "MODE", Is("0600"), Core, "The socket's file mode, octal"),
        row("cluster-listen", "ADDR", Is("127.0.0.1:7379"), Every, "Other nodes: joining, Raft, feed, forwarding"),
        row("advertise", "HOST:PORT", ClusterAddress, Every, "What other nodes dial"),
        row("advertise-clients", "HOST:PORT", ClientAddress, Core, "What clients dial: told by the facades"),
        row("advertise-reads", "HOST:PORT", ClientAddress, Core, "The same for the read port"),
        row("admin-listen", "ADDR", Is("127.0.0.1:9090"), Every, "/metrics, /livez, /readyz, console"),
    ]},
    Group { heading: "Cluster", settings: &[
        row("join", "ADDR[,ADDR]", Unset, Every, "Join the cluster of any of these nodes; without it the node founds one, once"),
        row("expect-keepers", "N", Is("1"), Every, "A new cluster serves no QUORUM write until N Keepers are voters"),
        row("newest-format", "N", Unset, Every, "The newest format that this node agrees to write; none: all that it knows"),
    ]},
    Group { heading: "Clients", settings: &[
        row("max-clients", "N", Is("10000"), Core, "Further connections get an error and are closed"),
        row("facade", "NAME[,NAME]", Unset, Core, "cluster, sentinel or both: what Redis's clients in these modes ask is answered"),
        row("sentinel-name", "NAME", Is("mymaster"), Core, "What SENTINEL calls the primary"),
        row("default-user", "NAME", Is("admin"), Core, "Whom AUTH with a password alone means"),
        row("script-timeout", "TIME", Is("5s"), Core, "How long a script runs before others hear that it does"),
        row("script-kill-after", "TIME", Is("10s"), Core, "How long a script may run"),
        row("tls-cert", "FILE", Unset, Core, "Certificate chain for clients, PEM, when you have your own"),
        row("tls-key", "FILE", Unset, Core, "Its private key, PEM"),
        row("tls-san", "NAME[,NAME]", Unset, Core, "Further names in the certificate that the cluster's CA makes"),
    ]},
    Group { heading: "Consistency", settings: &[
        row("default-consistency", "LEVEL", Is("quorum"), Core, "eventual, quorum or all, where neither the request, the user nor the database says"),
        row("level-timeout", "TIME", Is("5s"), Core, "How long a command waits for its level"),
        row("park-timeout", "TIME", Is("5s"), Core, "How long a command waits for a primary"),
        row("reads", "lease|quorum-check", Is("lease"), Core, "How QUORUM reads are made safe"),
    ]},
    Group { heading: "Memory and disk", settings: &[
        row("maxmemory", "BYTES", Is("0"), Core, "The most memory that data may take, such as 512mb or 2gb; 0: no limit"),
        row("maxmemory-policy", "POLICY", Is("noeviction"), Core, "Which keys make room then: allkeys- or volatile- with lru, lfu or random, or volatile-ttl; noeviction: none"),
        row("snapshot-interval", "TIME", Is("15m"), Every, "Keepers compact at least this often, if anything changed"),
        row("snapshot-log-bytes", "BYTES", Is("1gb"), Every, "Keepers compact when the log has grown by so much"),
    ]},
    Group { heading: "Log", settings: &[
        row("log-level", "LEVEL", Is("info"), Every, "off, error, warn, info, debug or trace"),
        row("log-format", "text|json", Is("text"), Every, "How a line of the log looks"),
    ]},
];

const fn row(
    name: &'static str,
    value: &'static str,
    default: DefaultValue,
    owner: Owner,
    meaning: &'static str,
) -> Setting {
    Setting { name, value, default, owner, meaning }
}

/// Every setting of every program.
pub fn all() -> impl Iterator<Item = &'static Setting> {
    GROUPS.iter().flat_map(|g| g.settings)
}

/// The settings of one program.
pub fn of(program: Program) -> impl Iterator<Item = &'static Setting> {
    all().filter(move |s| s.is_of(program))
}

impl Setting {
    /// The name of the file's key.
    pub fn key(&self) -> String {
        self.name.replace('-', "_")
    }

    /// The name of the environment's variable.
    pub fn variable(&self) -> String {
        format!("MNEME_{}", self.key().to_uppercase())
    }

    pub fn is_of(&self, program: Program) -> bool {
        program == Program::Core || self.owner == Every
    }
}

impl DefaultValue {
    /// The value, as it would be written; `None` if it is derived from another setting, or there is none.
    pub fn text(self, machine: &Machine) -> Option<String> {
        match self {
            Is(text) => Some(text.to_owned()),
            HostName => Some(machine.host_name.clone()),
            Cpus => Some(machine.cpus.to_string()),
            ClusterAddress | ClientAddress | Unset => None,
        }
    }

    /// What `--help` says: the same on every machine.
    pub fn described(self) -> &'static str {
        match self {
            Is(text) => text,
            HostName => "host name",
            Cpus => "number of CPUs",
            ClusterAddress => "the cluster address",
            ClientAddress => "the address listened on",
            Unset => "none",
        }
    }
}
