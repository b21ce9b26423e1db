//! The network between nodes: cut, slow, narrow or lossy. Clients reach every node all the time, but with `partition-clients`.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::{Kind, seconds};
use crate::cluster::{Node, Taken};
use crate::hosts::compose::Compose;
use crate::hosts::{Disturbance, LinkFault};
use crate::run::Run;

/// One round of a fault of the network.
pub async fn disturb(run: &Run, kind: Kind, lane: &str, dice: &mut StdRng) -> anyhow::Result<()> {
    if let Some(compose) = run.hosts.compose() {
        return disconnect(run, compose, kind, lane, dice).await;
    }
    let switch = run.hosts.switch().context("there is no network to disturb")?;
    let (what, disturbance) = draw(run, kind, dice);
    run.band(lane, Some(what));
    let whole = seconds(dice, 0.5..6.0);
    if kind == Kind::Flapping {
        let end = tokio::time::Instant::now() + whole;
        while tokio::time::Instant::now() < end && !run.is_over() {
            let number = switch.disturb(disturbance.clone());
            run.rest(seconds(dice, 0.02..0.4)).await;
            switch.heal(number);
            run.rest(seconds(dice, 0.02..0.4)).await;
        }
    } else {
        let number = switch.disturb(disturbance);
        run.rest(whole).await;
        switch.heal(number);
    }
    run.band(lane, None);
    Ok(())
}

/// Cuts a container off; clients do not reach it either.
async fn disconnect(run: &Run, compose: &Compose, kind: Kind, lane: &str, dice: &mut StdRng) -> anyhow::Result<()> {
    let primary = run.cluster.view().primary.filter(|_| kind == Kind::PartitionPrimary);
    let node = primary.unwrap_or_else(|| dice.random_range(0..run.cluster.nodes.len()));
    let Some(Taken(node)) = run.cluster.nodes[node].take() else { return Ok(()) };
    run.band(lane, Some(node.name().to_owned()));
    compose.connect(node.number(), false)?;
    run.rest(seconds(dice, 0.5..6.0)).await;
    compose.connect(node.number(), true)?;
    run.band(lane, None);
    Ok(())
}

/// A disturbance, and what it is for people.
fn draw(run: &Run, kind: Kind, dice: &mut StdRng) -> (String, Disturbance) {
    let mut hosts: Vec<usize> = run.cluster.nodes.iter().map(Node::host).collect();
    hosts.shuffle(dice);
    let name = |hosts: &[usize]| {
        let names = hosts.iter().map(|host| run.cluster.nodes[host - 1].name());
        names.collect::<Vec<_>>().join(" ")
    };
    let primary = run.cluster.view().primary.map_or(hosts[0], |primary| run.cluster.nodes[primary].host());
    let others = |one: usize| hosts.iter().copied().filter(move |other| *other != one).collect::<Vec<_>>();
    let (one, middle) = (hosts[0], hosts.len() / 2);
    match kind {
        Kind::PartitionPrimary => (name(&[primary]), both_ways(&[primary], &others(primary))),
        Kind::PartitionHalves => {
            let (left, right) = hosts.split_at(middle);
            (format!("{} | {}", name(left), name(right)), both_ways(left, right))
        }
        Kind::PartitionClients => {
            let (near, far) = hosts.split_at(middle + dice.random_range(0..=hosts.len() % 2));
            let mut cuts = both_ways(&[run.hosts.other_clients()], far);
            let are_nodes_cut = dice.random_bool(0.5);
            if are_nodes_cut {
                cuts.extend(both_ways(near, far));
            }
            let nodes = if are_nodes_cut { "" } else { ", nodes reach each other" };
            (format!("clients {} | {}{nodes}", name(near), name(far)), cuts)
        }
        Kind::PartitionBridge => {
            let (left, right) = (&hosts[1..=middle.max(1)], &hosts[middle.max(1) + 1..]);
            (format!("{} | {}, bridge {}", name(left), name(right), name(&[one])), both_ways(left, right))
        }
        Kind::PartitionRing => (format!("ring {}", name(&hosts)), ring(&hosts)),
        Kind::PartitionOneWay => {
            let is_mute = dice.random_bool(0.5);
            let cut = |other: usize| if is_mute { (one, other, LinkFault::Cut) } else { (other, one, LinkFault::Cut) };
            let what = if is_mute { "is not heard" } else { "hears nobody" };
            (format!("{} {what}", name(&[one])), others(one).into_iter().map(cut).collect())
        }
        Kind::PartitionCores => {
            let of = |wanted: fn(&Node) -> bool| -> Vec<usize> {
                run.cluster.nodes.iter().filter(|node| wanted(node)).map(Node::host).collect()
            };
            let (cores, keepers) = (of(|node| node.role().has_core()), of(|node| node.role().has_keeper()));
            (format!("{} | {}", name(&cores), name(&keepers)), both_ways(&cores, &keepers))
        }
        Kind::Slow => {
            let (delay, jitter) =
                (Duration::from_millis(dice.random_range(5..100)), Duration::from_millis(dice.random_range(0..100)));
            let (whose, which) = one_or_all(dice, &hosts);
            let what = format!("{}: {delay:?} to {:?}", name(&whose), delay + jitter);
            (what, which.into_iter().map(|(from, to)| (from, to, LinkFault::Delay(delay, jitter))).collect())
        }
        Kind::Narrow => {
            let rate = dice.random_range(30_000..300_000);
            let (whose, which) = one_or_all(dice, &hosts);
            let what = format!("{}: {} kB/s", name(&whose), rate / 1000);
            (what, which.into_iter().map(|(from, to)| (from, to, LinkFault::Rate(rate))).collect())
        }
        Kind::Loss => {
            let share = dice.random_range(0.01..0.4);
            let (whose, which) = one_or_all(dice, &hosts);
            let what = format!("{}: {:.0} %", name(&whose), 100.0 * share);
            (what, which.into_iter().map(|(from, to)| (from, to, LinkFault::Loss(share))).collect())
        }
        _ => (name(&[one]), both_ways(&[one], &others(one))),
    }
}

fn both_ways(left: &[usize], right: &[usize]) -> Disturbance {
    let pairs = left.iter().flat_map(|a| right.iter().map(move |b| (*a, *b))).filter(|(a, b)| a != b);
    let cuts: BTreeSet<(usize, usize)> = pairs.flat_map(|(a, b)| [(a, b), (b, a)]).collect();
    cuts.into_iter().map(|(from, to)| (from, to, LinkFault::Cut)).collect()
}

/// Each host hears those beside it in a circle, as many as make a majority with itself, and is cut from all others.
fn ring(hosts: &[usize]) -> Disturbance {
    let reach = hosts.len() / 2 / 2 + hosts.len() / 2 % 2;
    let far = |a: usize, b: usize| {
        let apart = a.abs_diff(b);
        apart.min(hosts.len() - apart) > reach
    };
    let places = (0..hosts.len()).flat_map(|a| (0..hosts.len()).map(move |b| (a, b)));
    places.filter(|(a, b)| far(*a, *b)).map(|(a, b)| (hosts[a], hosts[b], LinkFault::Cut)).collect()
}

/// The directions from and to one host, or between all.
fn one_or_all(dice: &mut StdRng, hosts: &[usize]) -> (Vec<usize>, Vec<(usize, usize)>) {
    let all = hosts.iter().flat_map(|a| hosts.iter().map(move |b| (*a, *b))).filter(|(a, b)| a != b);
    if dice.random_bool(0.5) {
        return (hosts.to_vec(), all.collect());
    }
    (vec![hosts[0]], all.filter(|(a, b)| [*a, *b].contains(&hosts[0])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_a_ring_everybody_hears_a_majority_and_no_two_the_same() {
        for count in [5, 7] {
            let hosts: Vec<usize> = (1..=count).collect();
            let cuts = ring(&hosts);
            let heard = |host: usize| -> BTreeSet<usize> {
                hosts.iter().copied().filter(|other| !cuts.contains(&(*other, host, LinkFault::Cut))).collect()
            };
            let all: BTreeSet<BTreeSet<usize>> = hosts.iter().map(|host| heard(*host)).collect();
            assert_eq!(all.len(), count, "{all:?}");
            assert!(all.iter().all(|heard| heard.len() > count / 2 && heard.len() < count), "{all:?}");
        }
    }

    #[test]
    fn a_bridge_hears_both_sides() {
        let cuts = both_ways(&[2, 3], &[4, 5]);
        assert_eq!(cuts.len(), 8);
        assert!(cuts.iter().all(|(from, to, _)| ![*from, *to].contains(&1)));
    }
}
