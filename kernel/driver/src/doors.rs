//! How one connection wakes another.

use std::sync::{Arc, Mutex};

use mneme_kernel::clients::Slot;

use crate::signal::Signal;
use crate::sync::lock;

/// Every connection's signal, by its slot.
#[derive(Debug, Default)]
pub(crate) struct Doors(Mutex<Vec<Arc<Signal>>>);

impl Doors {
    /// A new signal for the connection that has this slot now.
    pub(crate) fn install(&self, slot: Slot) -> Arc<Signal> {
        let mut doors = lock(&self.0);
        if doors.len() <= slot {
            doors.resize_with(slot + 1, Arc::default);
        }
        doors[slot] = Arc::default();
        doors[slot].clone()
    }

    pub(crate) fn knock(&self, slots: &[Slot]) {
        if slots.is_empty() {
            return;
        }
        let doors = lock(&self.0);
        slots.iter().filter_map(|slot| doors.get(*slot)).for_each(|door| door.raise());
    }

    pub(crate) fn knock_at_all(&self) {
        lock(&self.0).iter().for_each(|door| door.raise());
    }
}
