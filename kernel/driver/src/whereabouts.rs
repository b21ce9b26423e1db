//! Asks the other Cores where clients reach them, and so finds out which ones answer, if clients of this node are told that in
//! Redis's ways ([`mneme_kernel::facade`]).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use crate::ask::{Answer, Ask, ask_again};
use crate::core_loop::lock_core;
use crate::env::Env;
use crate::link::FrameReader;
use crate::node::{Messages, Node};

/// How often they are asked: a node that has begun anew may be elsewhere.
const LOOK: Duration = Duration::from_millis(500);
/// How long one may take to connect, and half as long as it may take to answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// Goes on until the process ends.
pub(crate) async fn run<E: Env>(node: Arc<Node<E>>) {
    // By name: a node that begins anew elsewhere has ended its old link.
    let mut links = BTreeMap::<String, FrameReader<E::Link>>::new();
    loop {
        let others = lock_core(&node).await.others_to_ask();
        let asked = others.into_iter().map(|(name, address)| {
            let (link, env) = (links.remove(&name), &node.env);
            async move {
                let answer = ask_again(env, &address, link, &Ask::Reach, PATIENCE).await;
                (name, answer)
            }
        });
        for (name, answer) in join_all(asked).await {
            let reach = match answer {
                Some((Answer::Reach(reach), link)) => {
                    links.insert(name.clone(), link);
                    Some(reach)
                }
                _ => None,
            };
            let messages = {
                let mut core = lock_core(&node).await;
                core.hear_reach(&name, reach);
                Messages::take(&mut core)
            };
            node.deliver(&messages);
        }
        node.env.sleep(LOOK).await;
    }
}
