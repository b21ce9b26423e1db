//! A counterexample as a story.

use std::fmt::Write;

use crate::action::Action;
use crate::check::Violation;
use crate::core::{Gated, Outcome};
use crate::numbers::{Node, Request};
use crate::op::{Op, Reply};
use crate::protocol::Protocol;
use crate::state::State;
use crate::verdict;

/// The steps, what each came to, and the log at the end.
pub fn explain(protocol: &Protocol, violation: &Violation<Protocol>) -> String {
    let mut text = format!("violated: {}\n\n", violation.property);
    let mut before = &violation.start;
    for ((action, after), number) in violation.steps.iter().zip(1..) {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{number:3}  {action}{}", consequence(protocol, before, action, after));
        before = after;
    }
    text.push_str("\nthe log:\n");
    let verdicts = verdict::replay(&before.log, protocol.mutant).each;
    for ((entry, verdict), index) in before.log.iter().zip(verdicts).zip(1..) {
        let _ = writeln!(text, "{index:3}  {entry}: {verdict:?}");
    }
    text
}

fn consequence(protocol: &Protocol, before: &State, action: &Action, after: &State) -> String {
    match action {
        Action::Commit(_) => format!(" at index {}", after.log.len()),
        Action::Deliver(node) => delivered(protocol, before, *node, after),
        Action::Execute(node, request) => executed(protocol, after, *node, *request),
        Action::Receive(forward) if after.core(forward.to).gate != before.core(forward.to).gate => {
            executed(protocol, after, forward.to, forward.request)
        }
        Action::Receive(_) => ": not executed".to_owned(),
        Action::Reply(node, request) => {
            let outcome = gated(before, *node, *request).map(|gated| gated.outcome);
            match outcome {
                Some(Outcome::Executed(reply)) => format!(": {}", answer(protocol.op(*request), reply)),
                _ => ": it never happened".to_owned(),
            }
        }
        Action::Forward(_, request) => format!(", {}", protocol.op(*request)),
        _ => String::new(),
    }
}

fn delivered(protocol: &Protocol, before: &State, node: Node, after: &State) -> String {
    let index = after.core(node).applied;
    let entry = &before.log[usize::from(index.0) - 1];
    let verdict = before.core(node).verdicts.clone().judge(index, entry, protocol.mutant);
    let became = match (&before.core(node).reign, &after.core(node).reign) {
        (None, Some(reign)) => format!("; it is primary of epoch {}", reign.epoch),
        (Some(reign), None) => format!("; its epoch {} is over", reign.epoch),
        _ => String::new(),
    };
    format!(" applies {index}, {entry}: {verdict:?}{became}")
}

fn executed(protocol: &Protocol, after: &State, node: Node, request: Request) -> String {
    let op = protocol.op(request);
    let Some(Gated { outcome: Outcome::Executed(reply), batch, proof, .. }) = gated(after, node, request) else {
        return format!(", {op}");
    };
    let mut waits = String::new();
    if let Some(seq) = batch {
        let _ = write!(waits, ", waits for batch {seq}");
    }
    if proof.is_some() {
        waits.push_str(", waits for a proof that its epoch went on");
    }
    format!(", {op}: {}{waits}", answer(op, *reply))
}

fn gated(state: &State, node: Node, request: Request) -> Option<&Gated> {
    state.core(node).gate.iter().find(|gated| gated.request == request)
}

fn answer(op: Op, reply: Reply) -> String {
    match op {
        Op::GetBoth => format!("{}, {}", reply.0, reply.1),
        _ => reply.0.to_string(),
    }
}
