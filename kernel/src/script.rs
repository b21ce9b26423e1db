//! Scripts, as the kernel sees them: what runs them is handed in, for it needs what the kernel does without.
//!
//! A script is executed once, by the primary, at once and alone; what it changes is effects like those of any command, all
//! in one batch. So nobody else runs it, and the engine need not be the same on every node.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Debug;
use core::time::Duration;

use bincode::{Decode, Encode};

use crate::core::Core;
use crate::resp::{Args, Protocol, Reply};

/// A script's SHA-1, by which clients call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha(pub [u8; 20]);

impl Sha {
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha1_smol::Sha1::from(bytes).digest().bytes())
    }

    /// Reads forty hexadecimal digits, in any case.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
        let mut sha = [0; 20];
        if text.len() != 40 {
            return None;
        }
        for (byte, pair) in sha.iter_mut().zip(text.chunks(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(sha))
    }

    /// Its forty digits, in lower case.
    pub fn hex(&self) -> [u8; 40] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = [0; 40];
        for (pair, byte) in hex.chunks_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        hex
    }
}

impl core::fmt::Display for Sha {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.hex().iter().try_for_each(|digit| f.write_fmt(format_args!("{}", char::from(*digit))))
    }
}

/// What a script says of itself, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Flags(u8);

impl Flags {
    /// It says nothing: it has no first line `#!lua`.
    pub const NONE: Flags = Flags(0);
    pub const NO_WRITES: Flags = Flags(1);
    pub const ALLOW_OOM: Flags = Flags(2);
    pub const ALLOW_STALE: Flags = Flags(4);
    pub const NO_CLUSTER: Flags = Flags(8);
    pub const ALLOW_CROSS_SLOT_KEYS: Flags = Flags(16);

    pub const ALL: Flags = Flags(31);

    const NAMES: [(&'static str, Flags); 5] = [
        ("no-writes", Flags::NO_WRITES),
        ("allow-oom", Flags::ALLOW_OOM),
        ("allow-stale", Flags::ALLOW_STALE),
        ("no-cluster", Flags::NO_CLUSTER),
        ("allow-cross-slot-keys", Flags::ALLOW_CROSS_SLOT_KEYS),
    ];

    pub fn parse(name: &[u8]) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| known.as_bytes() == name).map(|(_, flag)| *flag)
    }

    #[must_use]
    pub fn with(self, other: Flags) -> Self {
        Flags(self.0 | other.0)
    }

    pub fn has(self, flag: Flags) -> bool {
        self.0 & flag.0 != 0
    }

    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().filter(move |(_, flag)| self.has(*flag)).map(|(name, _)| *name)
    }
}

/// A function that a library has registered.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Function {
    pub name: String,
    pub description: Option<String>,
    pub flags: Flags,
}

/// A library as the engine is given it.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    pub name: &'a str,
    /// Of all of its code, so that a newer one under the same name is told from it.
    pub sha: Sha,
    /// Without what stands behind `#!`.
    pub code: &'a [u8],
}

/// How long scripts take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// From then on others are told that one runs, instead of having them wait.
    pub timeout: Duration,
    /// Then it is ended.
    pub kill_after: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(5), kill_after: Duration::from_secs(10) }
    }
}

/// What runs.
#[derive(Clone, Copy, Debug)]
pub enum Program<'a> {
    /// A script that was compiled.
    Script(Sha),
    /// A function of a library, which is loaded first if it is not.
    Function { library: Source<'a>, function: &'a str },
}

/// Why a script did not end as it should: what the client is told, beginning with the error's code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub text: Vec<u8>,
    /// A command that it called was answered this, and it is counted already.
    pub is_counted: bool,
}

/// Why the script must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Somebody asked for it.
    Asked,
    /// It has run for too long.
    Late,
    /// It will begin anew elsewhere.
    Moved,
}

/// Runs scripts. It has no clock, no randomness and no I/O of its own, so equal scripts with equal answers do equal things.
pub trait Engine: Debug + Send {
    /// Compiles a script, and knows it from now on.
    ///
    /// # Errors
    /// What is wrong with it, as the compiler says it.
    fn compile(&mut self, sha: Sha, code: &[u8]) -> Result<(), Vec<u8>>;

    /// Forgets a script.
    fn forget(&mut self, sha: Sha);

    /// Loads a library to see which functions it registers, and forgets it.
    ///
    /// # Errors
    /// What is wrong with it.
    fn inspect(&mut self, library: Source<'_>, host: &mut dyn Host) -> Result<Vec<Function>, Vec<u8>>;

    /// Forgets libraries: this one, or all.
    fn forget_libraries(&mut self, name: Option<&str>);

    /// Runs a script to its end, and appends what it returns to the reply.
    ///
    /// # Errors
    /// If it failed; then nothing was appended that must not be cut off again.
    fn run(
        &mut self,
        program: Program<'_>,
        keys: Args<'_>,
        args: Args<'_>,
        reply: &mut Reply,
        host: &mut dyn Host,
    ) -> Result<(), Failure>;

    /// Bytes that its state takes.
    fn memory(&self) -> usize;
}

/// Those who would wait for a script that takes long: its thread serves them in between.
pub trait Guests: Debug + Send {
    /// Has those served that wait. They find a Core that refuses all commands but a few: see [`Core::is_busy`].
    fn serve(&mut self, core: &mut Core);

    /// The script has ended: who waits has the lock again.
    fn leave(&mut self);
}

/// What a script that runs may ask for.
pub trait Host {
    /// Runs a command; its reply, in the version of the protocol that the script wants.
    fn call(&mut self, args: Args<'_>) -> &[u8];

    /// The version of the protocol in which commands reply from now on.
    fn speak(&mut self, protocol: Protocol);

    /// Whether the user may run this; `None` if there is no such command.
    fn may_run(&mut self, args: Args<'_>) -> Option<bool>;

    /// A line for the server's log. Levels are Redis's: debug, verbose, notice, warning.
    fn log(&mut self, level: u8, text: &[u8]);

    /// Seconds that the node has run.
    fn seconds(&mut self) -> f64;

    /// 64 random bits.
    fn random(&mut self) -> u64;

    /// To be called every so many steps of a script; see [`crate::limits::SCRIPT_STEPS`].
    ///
    /// # Errors
    /// If the script must end now.
    fn tick(&mut self) -> Result<(), Stop>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sha_is_read_as_it_is_written() {
        let sha = Sha::of(b"return 1");
        assert_eq!(alloc::format!("{sha}"), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
        assert_eq!(Sha::parse(&sha.hex()), Some(sha));
        assert_eq!(Sha::parse(&sha.hex().to_ascii_uppercase()), Some(sha));
        assert_eq!(Sha::parse(b"e0e1"), None);
        assert_eq!(Sha::parse(&[b'g'; 40]), None);
    }
}
