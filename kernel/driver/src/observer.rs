//! Whoever compares what a node does with what it may do: the simulation. In production there is nobody, which costs
//! nothing.

use std::fmt::Debug;

use mneme_kernel::core::{BadEntry, Core, Input, Now, Output};
use mneme_kernel::ids::{Epoch, Index};

use crate::env::Env;

/// Sees what a node does when it does it. It is told under locks of the node, and must not ask the node for anything.
pub trait Observer: Debug + Send + Sync {
    /// The Core is about to be told this.
    fn tells(&self, core: &Core, input: &Input<'_>);

    /// The Core was told what it was about to be told, and wants this done.
    fn told(&self, core: &Core, wants: &[Output]);

    /// The lease that this Core holds is to be renewed: the entry is about to be proposed.
    fn renews(&self, epoch: Epoch, number: u64);

    /// The Keeper knows that this is committed; `None` is Raft's own. All before it was, here or at another Keeper.
    fn committed(&self, index: Index, entry: Option<&[u8]>);
}

/// [`Core::handle`], observed.
pub(crate) fn handle<E: Env>(
    env: &E,
    core: &mut Core,
    input: Input<'_>,
    outputs: &mut Vec<Output>,
) -> Result<(), BadEntry> {
    let now = Now { wall: env.wall(), monotonic: env.monotonic() };
    let Some(observer) = env.observer() else { return core.handle(now, input, outputs) };
    observer.tells(core, &input);
    let before = outputs.len();
    let handled = core.handle(now, input, outputs);
    observer.told(core, &outputs[before..]);
    handled
}
