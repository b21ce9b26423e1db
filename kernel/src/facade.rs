//! What clients are told that look for a primary in Redis's ways: by the slots of a cluster, or by a Sentinel. Every Core takes
//! every command, so one shard has all slots and nobody is ever sent elsewhere; and every node answers as a Sentinel would.
//! The log does not say where clients reach the Cores: the driver asks each, as long as this node answers in one of these ways.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use bincode::{Decode, Encode};
use siphasher::sip128::{Hasher128, SipHasher24};

use crate::channels::Message;
use crate::core::Core;

/// Slots that Redis divides keys into.
pub(crate) const SLOTS: u16 = 16384;

/// What an operator decides.
#[derive(Clone, Debug, Default)]
pub struct Facade {
    /// `CLUSTER` is answered as by a Redis Cluster of one shard.
    pub cluster: bool,
    /// `SENTINEL` is answered as by one that watches a primary of this name.
    pub sentinel: Option<String>,
    /// Where clients reach this node.
    pub reach: Reach,
}

impl Facade {
    pub fn is_any(&self) -> bool {
        self.cluster || self.sentinel.is_some()
    }
}

/// Where clients reach a Core.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Reach {
    /// The port that takes every command.
    pub main: Endpoint,
    /// The port for reads at `EVENTUAL`.
    pub read: Endpoint,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Endpoint {
    /// A name or an address; one of IPv6 has no brackets.
    pub host: String,
    pub port: u16,
}

impl fmt::Display for Endpoint {
    /// As Redis writes it: without brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// What a Core has heard of where clients reach the others. Lost with its process, as it is heard again within a moment.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    others: BTreeMap<String, Other>,
    /// The node that was primary last: while there is none it is that still, as for Redis.
    primary: Option<String>,
    /// Where subscribers to `+switch-master` believe the primary to be.
    told: Option<Endpoint>,
}

#[derive(Debug)]
struct Other {
    reach: Reach,
    /// It answered when it was last asked.
    answers: bool,
}

/// A Core as clients are shown it.
#[derive(Debug)]
pub(crate) struct Shown<'a> {
    pub name: &'a str,
    /// 40 hexadecimal digits, as Redis's are.
    pub id: String,
    pub reach: &'a Reach,
    /// The first one that is shown, and no other.
    pub is_master: bool,
    pub is_own: bool,
    /// Whether it answers, as far as this node knows; only the log deposes a primary.
    pub answers: bool,
}

impl Shown<'_> {
    /// How far it is in the log; of others nothing is known here, and 0 is said.
    pub(crate) fn offset(&self, core: &Core) -> u64 {
        if self.is_own { core.applied().0 } else { 0 }
    }
}

/// A name of 40 hexadecimal digits for what is named otherwise here: the same on every node and in every version.
pub(crate) fn id_of(kind: &str, name: &str) -> String {
    let half = |salt: u8| {
        let mut hasher = SipHasher24::new();
        core::hash::Hasher::write_u8(&mut hasher, salt);
        [kind, "\0", name].iter().for_each(|part| core::hash::Hasher::write(&mut hasher, part.as_bytes()));
        hasher.finish128().as_u128()
    };
    format!("{:032x}{:08x}", half(0), half(1) as u32)
}

/// The slot of a key: CRC-16 (XMODEM) of what stands between its first braces, or of all of it if that is nothing.
pub(crate) fn slot(key: &[u8]) -> u16 {
    const TABLE: [u16; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let (mut crc, mut bit) = ((byte as u16) << 8, 0);
            while bit < 8 {
                crc = if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
                bit += 1;
            }
            table[byte] = crc;
            byte += 1;
        }
        table
    };
    let tag = key.iter().position(|byte| *byte == b'{').map(|open| &key[open + 1..]);
    let tag = tag.and_then(|rest| rest.iter().position(|byte| *byte == b'}').map(|close| &rest[..close]));
    let hashed = tag.filter(|tag| !tag.is_empty()).unwrap_or(key);
    hashed.iter().fold(0, |crc, byte| crc << 8 ^ TABLE[usize::from((crc >> 8) as u8 ^ byte)]) % SLOTS
}

impl Core {
    /// The Cores to ask where clients reach them, by name, with the address of each.
    pub fn others_to_ask(&self) -> Vec<(String, String)> {
        let others = self.cores().iter().filter(|(name, _)| *name != self.config.node);
        others.map(|(name, core)| (name.into(), core.address.clone())).collect()
    }

    /// Another Core has said where clients reach it; `None`: it does not answer, and is there, if anywhere.
    pub fn hear_reach(&mut self, node: &str, reach: Option<Reach>) {
        let cores = &self.system.cores;
        // While the log is read anew nobody knows who has left.
        if self.is_hot() {
            self.heard_of.others.retain(|name, _| cores.get(name).is_some());
        }
        match (reach, self.heard_of.others.get_mut(node)) {
            (Some(reach), _) => {
                self.heard_of.others.insert(node.into(), Other { reach, answers: true });
            }
            (None, Some(other)) => other.answers = false,
            (None, None) => {}
        }
        self.look_for_primary();
    }

    /// Tells this node's subscribers that clients reach the primary elsewhere now, if so.
    pub(crate) fn look_for_primary(&mut self) {
        // What is read anew tells of reigns that ended long ago.
        if !self.config.facade.is_any() || !self.is_hot() {
            return;
        }
        if let Some((name, _)) = self.primary() {
            self.heard_of.primary = Some(name.into());
        }
        let primary = self.heard_of.primary.as_deref().and_then(|name| self.reach(name));
        let Some(now) = primary.map(|reach| reach.main.clone()) else { return };
        let Some(before) = self.heard_of.told.replace(now.clone()).filter(|before| *before != now) else { return };
        if let Some(name) = &self.config.facade.sentinel {
            let text = format!("{name} {} {} {} {}", before.host, before.port, now.host, now.port);
            self.hear(Message { channel: b"+switch-master".to_vec(), text: text.into_bytes(), is_sharded: false });
        }
    }

    fn reach(&self, node: &str) -> Option<&Reach> {
        match node == self.config.node {
            true => Some(&self.config.facade.reach),
            false => self.heard_of.others.get(node).map(|other| &other.reach),
        }
    }

    /// The Cores of which it is known where clients reach them, at least this one, and the primary first. If that is not
    /// known of the primary, another one takes its place: it takes the same commands.
    pub(crate) fn shown(&self) -> Vec<Shown<'_>> {
        let own = &*self.config.node;
        let names = self.cores().iter().map(|(name, _)| name).filter(|name| *name != own).chain([own]);
        let known: Vec<(&str, &Reach)> = names.filter_map(|name| Some((name, self.reach(name)?))).collect();
        let is_known = |node: &str| known.iter().any(|(name, _)| *name == node);
        let primary = self.heard_of.primary.as_deref().filter(|name| is_known(name));
        // A Replica takes no commands that write.
        let stand_in = if self.config.replica { known[0].0 } else { own };
        let master = primary.unwrap_or(stand_in);
        let mut shown: Vec<Shown<'_>> = known
            .iter()
            .map(|(name, reach)| Shown {
                name,
                id: id_of("node", name),
                reach,
                is_master: *name == master,
                is_own: *name == own,
                answers: [own, master].contains(name)
                    || self.heard_of.others.get(*name).is_some_and(|other| other.answers),
            })
            .collect();
        shown.sort_by_key(|node| (!node.is_master, node.name));
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis() {
        assert_eq!(slot(b"123456789"), 0x31c3);
        assert_eq!(slot(b"foo"), 12182);
        assert_eq!(slot(b"{foo}bar"), 12182);
        assert_eq!(slot(b"x{foo}{bar}"), 12182);
        assert_eq!(slot(b""), 0);
        // Without a close, or with nothing between, the braces mean nothing.
        assert_eq!(slot(b"{}foo"), slot_of_all(b"{}foo"));
        assert_eq!(slot(b"{foo"), slot_of_all(b"{foo"));
        assert_eq!(slot(b"foo{}{bar}"), slot_of_all(b"foo{}{bar}"));
    }

    /// Bit by bit, as the definition says.
    fn slot_of_all(bytes: &[u8]) -> u16 {
        let mut crc = 0u16;
        for byte in bytes {
            crc ^= u16::from(*byte) << 8;
            for _ in 0..8 {
                crc = if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
            }
        }
        crc % SLOTS
    }

    #[test]
    fn ids_are_the_same_for_ever() {
        assert_eq!(id_of("node", "n1"), "82149bf3b20ca637fa6b862dc5b519a7939e8045");
    }
}
