//! The ports of the three nodes, on loopback.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::{iter, process};

use super::COUNT;
use crate::cli::stop::Stop;

/// Ports of the same kind stand together, and those of the next kind so much further up.
const STEP: u16 = 10;
const KINDS: u16 = 5;
/// What one demonstration needs.
const BLOCK: u16 = STEP * KINDS;
/// The highest `--port` that leaves room for all of them.
pub const HIGHEST_BASE: u16 = u16::MAX - BLOCK;
/// Where free ports are looked for: below those that Linux gives to whoever dials (32768 and up), so that the port of a node
/// that was killed is still free when it is healed.
const LOWEST: u16 = 20_000;
const HIGHEST: u16 = 32_000;

/// Where one node listens.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub clients: SocketAddr,
    pub reads: SocketAddr,
    pub admin: SocketAddr,
    pub cluster: SocketAddr,
    /// Where the others dial it.
    pub relay: SocketAddr,
}

impl Ports {
    /// Free ports for each node, from `base` up if that is given.
    ///
    /// # Errors
    /// If a port from `base` up is taken, or no ports are free.
    pub fn choose(base: Option<u16>) -> Result<[Ports; COUNT], Stop> {
        if let Some(base) = base {
            return match all_from(base).find(|port| !is_free(*port)) {
                Some(port) => Err(Stop::Usage(format!("--port {base}: port {port} is in use; choose another one"))),
                None => Ok(from(base)),
            };
        }
        // Two demonstrations that start at once look in different places.
        let blocks = (HIGHEST - LOWEST) / BLOCK;
        let first = (process::id() % u32::from(blocks)) as u16;
        let mut bases = (0..blocks).map(|next| LOWEST + (first + next) % blocks * BLOCK);
        let free = bases.find(|base| all_from(*base).all(is_free));
        free.map(from).ok_or_else(|| Stop::Server(format!("no free ports on {} from {LOWEST} up", Ipv4Addr::LOCALHOST)))
    }
}

fn from(base: u16) -> [Ports; COUNT] {
    std::array::from_fn(|node| {
        let kind = |kind: u16| (Ipv4Addr::LOCALHOST, base + STEP * kind + node as u16).into();
        Ports { clients: kind(0), reads: kind(1), admin: kind(2), cluster: kind(3), relay: kind(4) }
    })
}

fn all_from(base: u16) -> impl Iterator<Item = u16> {
    let kinds = iter::successors(Some(base), |port| port.checked_add(STEP)).take(usize::from(KINDS));
    kinds.flat_map(|first| first..first + COUNT as u16)
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let [n1, n2, n3] = from(7000);
        assert_eq!([n1, n2, n3].map(|node| node.clients.port()), [7000, 7001, 7002]);
        assert_eq!((n1.reads.port(), n1.admin.port(), n2.cluster.port(), n3.relay.port()), (7010, 7020, 7031, 7042));
        assert_eq!(all_from(HIGHEST_BASE).max(), Some(HIGHEST_BASE + 42));
    }

    #[test]
    fn free_ports_are_found_and_a_port_in_use_is_named() {
        let [n1, ..] = Ports::choose(None).expect("some are free");
        assert!(n1.clients.port() < 32_768);
        let _taken = TcpListener::bind(n1.admin).expect("it is free");
        let Err(Stop::Usage(why)) = Ports::choose(Some(n1.clients.port())) else { panic!("{n1:?}") };
        assert!(why.contains(&format!("port {} is in use", n1.admin.port())), "{why}");
    }
}
