//! A switch between hosts: each host's only network device is a TUN device whose other end is here, so every packet between
//! two hosts passes through this program, which may delay or drop it.
//!
//! It drops and delays IPv4 packets; it reorders none of one direction. What it does at a time is the sum of all disturbances
//! that are on.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tun_rs::{AsyncDevice, SyncDevice};

/// Packets are dropped when the ones before them take longer than this to leave.
const LONGEST_QUEUE: Duration = Duration::from_millis(500);
/// Packets on their way in one direction of one link; more are dropped.
const PACKETS: usize = 4096;

/// What happens to packets in one direction of one link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LinkFault {
    Cut,
    /// This share of them is dropped.
    Loss(f64),
    /// Each takes longer by the first, and by a random part of the second.
    Delay(Duration, Duration),
    /// So many bytes a second.
    Rate(u64),
}

/// Faults of directions: from one host to another.
pub type Disturbance = Vec<(usize, usize, LinkFault)>;

/// A running switch. It ends when this is dropped.
#[derive(Debug)]
pub struct Switch {
    rules: Arc<Mutex<Rules>>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Rules {
    next: u64,
    on: BTreeMap<u64, Disturbance>,
    /// The sum, by direction.
    links: BTreeMap<(usize, usize), Link>,
    passed: u64,
    dropped: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Link {
    is_cut: bool,
    loss: f64,
    delay: Duration,
    jitter: Duration,
    rate: Option<u64>,
    /// When the last packet that was sent has left.
    free: Option<Instant>,
}

impl Switch {
    /// Connects these devices, whose places are the hosts' numbers.
    pub(super) fn start(devices: Vec<SyncDevice>) -> anyhow::Result<Switch> {
        let rules = Arc::<Mutex<Rules>>::default();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let own = Arc::clone(&rules);
        let main = move || {
            runtime.block_on(async {
                let devices = devices.into_iter().map(|device| AsyncDevice::new(device).map(Arc::new));
                match devices.collect::<Result<Vec<_>, _>>() {
                    Ok(devices) => run(devices, own),
                    Err(why) => return eprintln!("the switch has ended: {why}"),
                }
                // It is dropped when it is to end.
                let _ = stopped.await;
            });
        };
        let thread = thread::Builder::new().name("switch".into()).spawn(main).context("starting the switch")?;
        Ok(Switch { rules, stop: Some(stop), thread: Some(thread) })
    }

    /// Adds a disturbance; what it returns takes it away.
    pub fn disturb(&self, disturbance: Disturbance) -> u64 {
        let mut rules = lock(&self.rules);
        let number = rules.next;
        rules.next += 1;
        rules.on.insert(number, disturbance);
        rules.sum_up();
        number
    }

    pub fn heal(&self, number: u64) {
        let mut rules = lock(&self.rules);
        rules.on.remove(&number);
        rules.sum_up();
    }

    pub fn heal_all(&self) {
        let mut rules = lock(&self.rules);
        rules.on.clear();
        rules.sum_up();
    }

    /// How many packets have passed, and how many were dropped.
    pub fn packets(&self) -> (u64, u64) {
        let rules = lock(&self.rules);
        (rules.passed, rules.dropped)
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has said why if it panicked.
            let _ = thread.join();
        }
    }
}

impl Rules {
    fn sum_up(&mut self) {
        let free: BTreeMap<_, _> = self.links.iter().map(|(direction, link)| (*direction, link.free)).collect();
        self.links.clear();
        for (from, to, fault) in self.on.values().flatten() {
            let link = self.links.entry((*from, *to)).or_default();
            link.free = free.get(&(*from, *to)).copied().flatten();
            match *fault {
                LinkFault::Cut => link.is_cut = true,
                LinkFault::Loss(share) => link.loss = 1.0 - (1.0 - link.loss) * (1.0 - share),
                LinkFault::Delay(delay, jitter) => {
                    link.delay += delay;
                    link.jitter += jitter;
                }
                LinkFault::Rate(rate) => link.rate = Some(link.rate.map_or(rate, |other| other.min(rate))),
            }
        }
    }

    /// When a packet shall arrive; `None` if never.
    fn arrival(&mut self, from: usize, to: usize, bytes: usize, now: Instant) -> Option<Instant> {
        let at = match self.links.get_mut(&(from, to)) {
            Some(link) => link.arrival(bytes, now),
            None => Some(now),
        };
        *(if at.is_some() { &mut self.passed } else { &mut self.dropped }) += 1;
        at
    }
}

impl Link {
    fn arrival(&mut self, bytes: usize, now: Instant) -> Option<Instant> {
        if self.is_cut || rand::random::<f64>() < self.loss {
            return None;
        }
        let mut at = now;
        if let Some(rate) = self.rate {
            let begins = self.free.map_or(now, |free| free.max(now));
            if begins > now + LONGEST_QUEUE {
                return None;
            }
            at = begins + Duration::from_secs_f64(bytes as f64 / rate as f64);
            self.free = Some(at);
        }
        Some(at + self.delay + self.jitter.mul_f64(rand::random()))
    }
}

/// A packet and when it shall arrive.
type Delayed = (Instant, Vec<u8>);

fn run(devices: Vec<Arc<AsyncDevice>>, rules: Arc<Mutex<Rules>>) {
    for from in 0..devices.len() {
        let queues: Vec<_> = devices.iter().map(|to| queue(Arc::clone(to))).collect();
        tokio::spawn(forward(from, Arc::clone(&devices[from]), queues, Arc::clone(&rules)));
    }
}

/// A queue whose packets leave in their order.
fn queue(to: Arc<AsyncDevice>) -> Sender<Delayed> {
    let (sender, mut packets): (_, Receiver<Delayed>) = channel(PACKETS);
    tokio::spawn(async move {
        while let Some((at, packet)) = packets.recv().await {
            if at > Instant::now() {
                tokio::time::sleep_until(at.into()).await;
            }
            // A device that takes nothing drops it, as a network may.
            let _ = to.send(&packet).await;
        }
    });
    sender
}

async fn forward(from: usize, device: Arc<AsyncDevice>, queues: Vec<Sender<Delayed>>, rules: Arc<Mutex<Rules>>) {
    let mut buffer = vec![0; 65_536];
    loop {
        let Ok(len) = device.recv(&mut buffer).await else { return };
        let Some(to) = destination(&buffer[..len]).filter(|to| *to < queues.len()) else { continue };
        if let Some(at) = lock(&rules).arrival(from, to, len, Instant::now()) {
            // A queue that is full drops it, as a network may.
            let _ = queues[to].try_send((at, buffer[..len].to_vec()));
        }
    }
}

/// The host that an IPv4 packet is for.
fn destination(packet: &[u8]) -> Option<usize> {
    let is_v4 = packet.first()? >> 4 == 4;
    let address: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
    let host = super::address(0).octets();
    let is_ours = is_v4 && Ipv4Addr::from(address).octets()[..3] == host[..3];
    is_ours.then(|| usize::from(address[3]).checked_sub(1))?
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disturbances_add_up_and_heal_one_by_one() {
        let mut rules = Rules::default();
        let now = Instant::now();
        rules.on.insert(0, vec![(1, 2, LinkFault::Cut)]);
        rules.on.insert(1, vec![(1, 2, LinkFault::Delay(Duration::from_millis(40), Duration::ZERO))]);
        rules.sum_up();
        assert_eq!(rules.arrival(1, 2, 100, now), None);
        assert_eq!(rules.arrival(2, 1, 100, now), Some(now), "the other direction");
        rules.on.remove(&0);
        rules.sum_up();
        assert_eq!(rules.arrival(1, 2, 100, now), Some(now + Duration::from_millis(40)));
        assert_eq!((rules.passed, rules.dropped), (2, 1));
    }

    #[test]
    fn a_slow_link_queues_and_then_drops() {
        let mut link = Link { rate: Some(1000), ..Link::default() };
        let now = Instant::now();
        let arrivals: Vec<_> = (0..8).map(|_| link.arrival(100, now)).collect();
        assert_eq!(arrivals[1], Some(now + Duration::from_millis(200)));
        assert_eq!(arrivals.last(), Some(&None));
    }
}
