use std::sync::Arc;
use std::time::Duration;

use mneme_kernel::core::Content;
use mneme_kernel::effect;
use mneme_kernel::ids::{DbId, Epoch, Incarnation, Index, Seq};
use mneme_kernel::verdict::Verdicts;

use super::*;
use crate::model::Key;

const HELLO: Logged<'_> = Logged::Hello { node: "node1", nonce: 7, address: "node1:1", origin: None };
const CLAIM: Logged<'_> = claim(1, 0, 0);
const RELEASE: Logged<'_> = Logged::Release { epoch: Epoch(2), seq: Seq(1) };

const fn claim(incarnation: u64, previous_epoch: u64, last_renewal: u64) -> Logged<'static> {
    let (incarnation, last_renewal) = (Incarnation(incarnation), Index(last_renewal));
    Logged::Claim { incarnation, previous_epoch: Epoch(previous_epoch), last_renewal }
}

fn batch(seq: u64, effects: &[u8]) -> Logged<'_> {
    Logged::Batch { epoch: Epoch(2), seq: Seq(seq), wall: 0, effects }
}

/// A run on two machines; what the Core of the first says, and what the log says of it.
struct Run {
    conforms: Conforms,
    said: Said,
    verdicts: Verdicts,
    committed: u64,
}

impl Run {
    /// The first Core has begun a life.
    fn begun() -> Run {
        let verdicts = Verdicts::default();
        let said = Said {
            is_empty: true,
            applied: 0,
            verdicts: verdicts.clone(),
            incarnation: None,
            is_primary: false,
            serves: false,
            stops: false,
            accepted: 0,
            executed: 0,
            in_flight: 0,
        };
        let mut run = Run { conforms: Conforms::new(2), said, verdicts, committed: 0 };
        assert_eq!(run.is_told(&Input::Begin { nonce: 7 }, &[proposes(&HELLO)]), Ok(()));
        run
    }

    /// The first Core is primary in epoch 2.
    fn reigning() -> Run {
        let mut run = Run::begun();
        run.said.incarnation = Some(1);
        assert_eq!(run.applies(&HELLO, &[proposes(&CLAIM)]), Ok(()));
        (run.said.is_primary, run.said.serves) = (true, true);
        assert_eq!(run.applies(&CLAIM, &[Output::Leads(Epoch(2))]), Ok(()));
        run
    }

    fn is_told(&mut self, input: &Input<'_>, wants: &[Output]) -> Result<(), String> {
        self.conforms.tells(0, &self.said, input)?;
        self.conforms.told(0, &self.said, wants)
    }

    fn commits(&mut self, entry: &Logged<'_>) -> Result<(), String> {
        self.committed += 1;
        self.verdicts.judge(Index(self.committed), entry);
        self.conforms.committed(self.committed, Some(&entry.encode()))
    }

    /// An entry is committed, and the first Core takes it as the kernel's log judges it.
    fn applies(&mut self, entry: &Logged<'_>, wants: &[Output]) -> Result<(), String> {
        self.commits(entry)?;
        (self.said.is_empty, self.said.applied, self.said.verdicts) = (false, self.committed, self.verdicts.clone());
        self.takes(self.committed, entry, wants)
    }

    fn takes(&mut self, index: u64, entry: &Logged<'_>, wants: &[Output]) -> Result<(), String> {
        let (index, bytes) = (Index(index), entry.encode());
        self.is_told(&Input::Committed { index, content: Content::Core(&bytes), age: Duration::ZERO }, wants)
    }

    fn closes(&mut self, batch: &Logged<'_>) -> Result<(), String> {
        self.said.in_flight += 1;
        self.said.executed += 1;
        self.is_told(&Input::CloseBatch, &[proposes(batch)])
    }

    /// The second Core says hello, knows all that is committed, and claims.
    fn is_overtaken(&mut self) -> Logged<'static> {
        let hello = Logged::Hello { node: "node2", nonce: 8, address: "node2:1", origin: None };
        let mut other = Run::begun().said;
        assert_eq!(self.conforms.tells(1, &other, &Input::Begin { nonce: 8 }), Ok(()));
        assert_eq!(self.conforms.told(1, &other, &[proposes(&hello)]), Ok(()));
        assert_eq!(self.applies(&hello, &[]), Ok(()));
        let claim = claim(self.committed, 2, 2);
        let all = Input::Snapshot { index: Index(self.committed), system: Default::default(), items: &[] };
        (other.is_empty, other.applied, other.verdicts) = (false, self.committed, self.verdicts.clone());
        other.incarnation = Some(self.committed);
        assert_eq!(self.conforms.tells(1, &other, &all), Ok(()));
        assert_eq!(self.conforms.told(1, &other, &[proposes(&claim)]), Ok(()));
        claim
    }
}

fn proposes(entry: &Logged<'_>) -> Output {
    Output::Propose(Arc::new(entry.encode()))
}

fn says(judged: Result<(), String>, what: &str) {
    let wrong = judged.expect_err("it is wrong");
    assert!(wrong.contains(what), "{wrong}");
}

#[test]
fn what_the_protocol_allows_conforms() {
    let mut run = Run::reigning();
    assert_eq!(run.closes(&batch(1, &[])), Ok(()));
    (run.said.in_flight, run.said.accepted) = (0, 1);
    assert_eq!(run.applies(&batch(1, &[]), &[Output::Accepted(Seq(1))]), Ok(()));
    assert_eq!(run.applies(&batch(1, &[]), &[]), Ok(()), "it came twice, and is a duplicate");
    assert_eq!(run.conforms.renews(0, 2, 1), Ok(()));
    let (steps, acknowledged) = run.conforms.counts();
    assert!(steps > 10 && acknowledged == 0);
}

#[test]
fn what_nobody_has_proposed_is_not_committed() {
    says(Run::reigning().commits(&batch(1, &[])), "which nobody has proposed");
    says(Run::begun().commits(&CLAIM), "a claim of incarnation 1, where the log has None");
    let mut run = Run::reigning();
    assert_eq!(run.closes(&batch(1, b"a")), Ok(()));
    says(run.commits(&batch(1, b"b")), "which nobody has proposed");
}

#[test]
fn what_is_not_committed_is_not_applied() {
    says(Run::reigning().takes(3, &RELEASE, &[]), "applies entry 3, and 2 are committed");
    says(Run::reigning().takes(4, &RELEASE, &[]), "applies entry 4, behind 2");
}

#[test]
fn a_verdict_that_is_not_the_models_shows() {
    let mut run = Run::reigning();
    assert_eq!(run.closes(&batch(1, &[])), Ok(()));
    assert_eq!(run.closes(&batch(2, &[])), Ok(()));
    // The second one comes first, and the Core takes it: there is a gap.
    run.verdicts.next_seq = Seq(2);
    says(run.applies(&batch(2, &[]), &[]), "next_seq, last_renewal");
}

#[test]
fn a_claim_names_the_newest_renewal_and_its_own_life() {
    for wrong in [claim(1, 0, 1), claim(1, 1, 0)] {
        let mut run = Run::begun();
        run.said.incarnation = Some(1);
        says(run.applies(&HELLO, &[proposes(&wrong)]), "where the model proposes Claim");
    }
    says(Run::reigning().is_told(&Input::Resend, &[proposes(&claim(1, 2, 2))]), "not possible: LeaseEnds");
}

#[test]
fn only_who_reigns_executes() {
    let mut run = Run::reigning();
    run.said.serves = false;
    assert_eq!(run.is_told(&Input::Release, &[proposes(&RELEASE)]), Ok(()));
    says(run.conforms.renews(0, 2, 1), "not possible: Renew A");
    let mut run = Run::reigning();
    says(run.is_told(&Input::Release, &[proposes(&RELEASE)]), "executes");
    let mut run = Run::begun();
    (run.said.is_primary, run.said.executed) = (true, 1);
    says(run.is_told(&Input::CloseBatch, &[]), "executes, and does not reign");
}

#[test]
fn what_was_executed_in_vain_is_not_kept() {
    for keeps in [true, false] {
        let mut run = Run::reigning();
        let claim = run.is_overtaken();
        assert_eq!(run.closes(&batch(1, &[])), Ok(()));
        assert_eq!(run.commits(&claim), Ok(()));
        run.said = Said { is_empty: !keeps, ..Run::begun().said };
        let taken = run.takes(run.committed, &claim, &[]);
        match keeps {
            true => says(taken, "keeps what it has executed in vain"),
            false => assert_eq!(taken, Ok(())),
        }
    }
}

#[test]
fn gates_open_and_writes_are_acknowledged_when_the_batch_is_accepted() {
    let mut effects = Vec::new();
    effect::record(&Effect::Put { db: DbId(0), key: b"key:0", value: b"w5:0:", deadline: None }, &mut effects);
    let write = Command::MultiSet(vec![(Key { database: 0, number: 0 }, Datum::Word(5))]);
    let mut run = Run::reigning();
    assert_eq!(run.closes(&batch(1, &effects)), Ok(()));
    assert_eq!(run.commits(&batch(1, &effects)), Ok(()));
    assert_eq!(run.conforms.acknowledged(&write), Ok(()));
    assert_eq!(run.conforms.counts().1, 1);
    let mut run = Run::reigning();
    assert_eq!(run.closes(&batch(1, &effects)), Ok(()));
    says(run.conforms.acknowledged(&write), "was acknowledged before the log accepted its batch");
    let mut run = Run::reigning();
    assert_eq!(run.closes(&batch(1, &effects)), Ok(()));
    says(run.is_told(&Input::CloseBatch, &[Output::Accepted(Seq(1))]), "it opens gates up to 1");
}
