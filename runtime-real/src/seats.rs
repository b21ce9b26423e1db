//! Seats for connections whose peers nobody knows yet: bounded, and no single address takes them all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Connections at once: of all addresses, and of one.
const SEATS: usize = 256;
const OF_ONE: usize = 64;

/// Counts connections.
#[derive(Debug, Default)]
pub(crate) struct Seats(Mutex<HashMap<IpAddr, usize>>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Arc<Seats>,
    from: IpAddr,
}

impl Seats {
    /// A seat for a connection from this address, unless there are too many.
    pub(crate) fn seat(self: Arc<Self>, from: IpAddr) -> Option<Seat> {
        {
            let mut seated = self.lock();
            let of_one = seated.get(&from).copied().unwrap_or(0);
            if of_one >= OF_ONE || seated.values().sum::<usize>() >= SEATS {
                return None;
            }
            seated.insert(from, of_one + 1);
        }
        Some(Seat { seats: self, from })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seated = self.seats.lock();
        if let Some(n) = seated.get_mut(&self.from) {
            *n -= 1;
            if *n == 0 {
                seated.remove(&self.from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_does_not_take_all_seats() {
        let all = Arc::new(Seats::default());
        let address = |n: u8| IpAddr::from([10, 0, 0, n]);
        let seats: Vec<_> = (0..OF_ONE).map(|_| all.clone().seat(address(1)).expect("a seat")).collect();
        assert!(all.clone().seat(address(1)).is_none());
        assert!(all.clone().seat(address(2)).is_some());
        drop(seats);
        assert!(all.lock().is_empty());
        let many: Vec<_> = (0..=255).filter_map(|n| all.clone().seat(address(n))).collect();
        assert_eq!(many.len(), SEATS);
        assert!(all.clone().seat(IpAddr::from([11, 0, 0, 1])).is_none());
    }
}
