//! What a machine's server does, as the check `conforms` sees it.

use std::sync::Arc;

use mneme_driver::observer::Observer;
use mneme_kernel::core::{Core, Input, Output};
use mneme_kernel::ids::{Epoch, Index};

use super::Cluster;
use crate::check::Checks;
use crate::check::conforms::{Conforms, Said};
use crate::model::Command;
use crate::world::{World, lock};

/// The observer of a machine's server.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) world: Arc<World>,
    pub(super) checks: Arc<Checks>,
    pub(super) machine: usize,
}

impl Observed {
    fn judge(&self, judge: impl FnOnce(&mut Conforms) -> Result<(), String>) {
        let judged = judge(&mut lock(&self.checks.conforms));
        self.world.check("conforms", judged);
    }
}

impl Observer for Observed {
    fn tells(&self, core: &Core, input: &Input<'_>) {
        self.judge(|conforms| conforms.tells(self.machine, &Said::by(core), input));
    }

    fn told(&self, core: &Core, wants: &[Output]) {
        self.judge(|conforms| conforms.told(self.machine, &Said::by(core), wants));
    }

    fn renews(&self, epoch: Epoch, number: u64) {
        self.judge(|conforms| conforms.renews(self.machine, epoch.0, number));
    }

    fn committed(&self, index: Index, entry: Option<&[u8]>) {
        self.judge(|conforms| conforms.committed(index.0, entry));
    }
}

impl Cluster {
    /// A client hears that this was executed, at `QUORUM` or more.
    pub fn acknowledges(&self, command: &Command) {
        let judged = lock(&self.0.checks.conforms).acknowledged(command);
        self.world().check("conforms", judged);
    }

    /// Counts what was compared with the model of the protocol.
    pub fn count_model_steps(&self) {
        let (steps, acknowledged) = lock(&self.0.checks.conforms).counts();
        self.world().count("model steps", steps);
        self.world().count("acknowledged in the model", acknowledged);
    }
}
