//! What nodes answer that clients take for Redis Cluster or for Sentinels.

use mneme_kernel::facade::Facade;
use mneme_kernel::resp::Value;

use crate::words;
use crate::world::World;

fn world(nodes: usize) -> World {
    let facade = Facade { cluster: true, sentinel: Some("mymaster".into()), ..Facade::default() };
    World::with_facade(&vec![1000; nodes], facade)
}

/// Replies on one line each, with brackets around what belongs together.
fn show(value: &Value) -> String {
    match value {
        Value::Array(parts) => format!("[{}]", parts.iter().map(show).collect::<Vec<_>>().join(" ")),
        Value::Bulk(bytes) | Value::Verbatim { text: bytes, .. } => {
            String::from_utf8_lossy(bytes).trim_end().replace("\r\n", " ").replace('\n', " / ")
        }
        value => words::show(value),
    }
}

macro_rules! script {
    ($script:literal) => {
        insta::assert_snapshot!(crate::script::play_in(world(3), show, $script), @$script)
    };
}

/// Also where a subcommand of Redis, or of Mneme, gets other arguments than it takes.
#[test]
fn without_the_facades_neither_is_there() {
    insta::assert_snapshot!(crate::script::play_in(World::new(&[1000; 2]), show, r#"
    > a@1: CLUSTER SLOTS | CLUSTER INFO | CLUSTER KEYSLOT k | CLUSTER NONSENSE | ASKING | SENTINEL MASTERS
    > a@1: CLUSTER SLOTS 1 | CLUSTER KEYSLOT | CLUSTER MEET 10.0.0.9 6379 | CLUSTER STATUS x | CLUSTER
    > a@1: ROLE
    > read-a@1: ROLE
    "#), @r#"
    > a@1: CLUSTER SLOTS | CLUSTER INFO | CLUSTER KEYSLOT k | CLUSTER NONSENSE | ASKING | SENTINEL MASTERS
      a@1 gets -ERR This instance has cluster support disabled
      a@1 gets -ERR This instance has cluster support disabled
      a@1 gets -ERR This instance has cluster support disabled
      a@1 gets -ERR This instance has cluster support disabled
      a@1 gets -ERR unknown command 'ASKING', with args beginning with: 
      a@1 gets -ERR unknown command 'SENTINEL', with args beginning with: 'MASTERS' 
    > a@1: CLUSTER SLOTS 1 | CLUSTER KEYSLOT | CLUSTER MEET 10.0.0.9 6379 | CLUSTER STATUS x | CLUSTER
      a@1 gets -ERR This instance has cluster support disabled
      a@1 gets -ERR This instance has cluster support disabled
      a@1 gets -ERR This instance has cluster support disabled
      a@1 gets -ERR This instance has cluster support disabled
      a@1 gets -ERR wrong number of arguments for 'cluster' command
    > a@1: ROLE
      a@1 gets [master :6 []]
    > read-a@1: ROLE
      read-a@1 gets [slave 10.0.0.1 :6379 connected :6]
    "#);
}

#[test]
fn one_shard_has_all_slots_and_the_primary_is_its_master() {
    script!(
        r#"
    > a@1: CLUSTER SLOTS | CLUSTER NODES
      a@1 gets [[:0 :16383 [10.0.0.1 :6379 ccf75954af673bdcd81fb0bb5e13328d6d7e4fe3 []]]]
      a@1 gets ccf75954af673bdcd81fb0bb5e13328d6d7e4fe3 10.0.0.1:6379@16379 myself,master - 0 0 5 connected 0-16383
    > 2 tells 1 where it is
    > 3 tells 1 where it is
    > a@1: CLUSTER SLOTS | CLUSTER NODES | CLUSTER SHARDS | CLUSTER INFO
      a@1 gets [[:0 :16383 [10.0.0.1 :6379 ccf75954af673bdcd81fb0bb5e13328d6d7e4fe3 []] [10.0.0.2 :6379 45079b558c83772c3160c2d3cbd793ff158ab473 []] [10.0.0.3 :6379 a0bc0f1878b27f60c8c9be2a9b8d9669e3a68b0b []]]]
      a@1 gets ccf75954af673bdcd81fb0bb5e13328d6d7e4fe3 10.0.0.1:6379@16379 myself,master - 0 0 5 connected 0-16383 / 45079b558c83772c3160c2d3cbd793ff158ab473 10.0.0.2:6379@16379 slave ccf75954af673bdcd81fb0bb5e13328d6d7e4fe3 0 0 5 connected / a0bc0f1878b27f60c8c9be2a9b8d9669e3a68b0b 10.0.0.3:6379@16379 slave ccf75954af673bdcd81fb0bb5e13328d6d7e4fe3 0 0 5 connected
      a@1 gets [[slots [:0 :16383] nodes [[id ccf75954af673bdcd81fb0bb5e13328d6d7e4fe3 ip 10.0.0.1 endpoint 10.0.0.1 role master health online tls-port :6379 replication-offset :7] [id 45079b558c83772c3160c2d3cbd793ff158ab473 ip 10.0.0.2 endpoint 10.0.0.2 role replica health online tls-port :6379 replication-offset :0] [id a0bc0f1878b27f60c8c9be2a9b8d9669e3a68b0b ip 10.0.0.3 endpoint 10.0.0.3 role replica health online tls-port :6379 replication-offset :0]]]]
      a@1 gets cluster_state:ok cluster_slots_assigned:16384 cluster_slots_ok:16384 cluster_slots_pfail:0 cluster_slots_fail:0 cluster_known_nodes:3 cluster_size:1 cluster_current_epoch:5 cluster_my_epoch:5 cluster_stats_messages_sent:0 cluster_stats_messages_received:0 total_cluster_links_buffer_limit_exceeded:0
    > a@1: CLUSTER MYID | CLUSTER REPLICAS 5 | CLUSTER MYSHARDID | CLUSTER LINKS | CLUSTER SLOT | CLUSTER SLOTS 1
      a@1 gets ccf75954af673bdcd81fb0bb5e13328d6d7e4fe3
      a@1 gets -ERR Unknown node 5
      a@1 gets 64a2342117da42b713d6d0d5c6f34dfdb7d6760f
      a@1 gets []
      a@1 gets -ERR unknown subcommand 'SLOT'. Try CLUSTER HELP.
      a@1 gets -ERR wrong number of arguments for 'cluster|slots' command
    > 2 answers 1 nothing
    > a@1: CLUSTER SLOTS | CLUSTER NODES
      a@1 gets [[:0 :16383 [10.0.0.1 :6379 ccf75954af673bdcd81fb0bb5e13328d6d7e4fe3 []] [10.0.0.3 :6379 a0bc0f1878b27f60c8c9be2a9b8d9669e3a68b0b []]]]
      a@1 gets ccf75954af673bdcd81fb0bb5e13328d6d7e4fe3 10.0.0.1:6379@16379 myself,master - 0 0 5 connected 0-16383 / 45079b558c83772c3160c2d3cbd793ff158ab473 10.0.0.2:6379@16379 slave,fail ccf75954af673bdcd81fb0bb5e13328d6d7e4fe3 0 0 5 disconnected / a0bc0f1878b27f60c8c9be2a9b8d9669e3a68b0b 10.0.0.3:6379@16379 slave ccf75954af673bdcd81fb0bb5e13328d6d7e4fe3 0 0 5 connected
    > b@2: CLUSTER SLOTS
      b@2 gets [[:0 :16383 [10.0.0.2 :6379 45079b558c83772c3160c2d3cbd793ff158ab473 []]]]
    > 1 tells 2 where it is
    > b@2: CLUSTER SLOTS
      b@2 gets [[:0 :16383 [10.0.0.1 :6379 ccf75954af673bdcd81fb0bb5e13328d6d7e4fe3 []] [10.0.0.2 :6379 45079b558c83772c3160c2d3cbd793ff158ab473 []]]]
    "#
    );
}

#[test]
fn replicas_are_those_of_the_master() {
    script!(
        r#"
    > 2 tells 1 where it is
    > a@1: CLUSTER REPLICAS ccf75954af673bdcd81fb0bb5e13328d6d7e4fe3
      a@1 gets [45079b558c83772c3160c2d3cbd793ff158ab473 10.0.0.2:6379@16379 slave ccf75954af673bdcd81fb0bb5e13328d6d7e4fe3 0 0 5 connected]
    > a@1: CLUSTER SLAVES 45079b558c83772c3160c2d3cbd793ff158ab473
      a@1 gets -ERR The specified node is not a master
    "#
    );
}

#[test]
fn slots_of_keys_are_redis_s_and_their_keys_are_found_from_any_node() {
    script!(
        r#"
    > a@1: CLUSTER KEYSLOT foo | CLUSTER KEYSLOT {foo}bar | CLUSTER KEYSLOT
      a@1 gets :12182
      a@1 gets :12182
      a@1 gets -ERR wrong number of arguments for 'cluster|keyslot' command
    > a@1: MSET foo 1 {foo}bar 2 bar 3 | CLUSTER COUNTKEYSINSLOT 12182
      a@1 waits for batch 1
    > 1 closes
      1 proposes batch 1: put foo "1", put {foo}bar "2", put bar "3"
    > commit
      1 is accepted up to 1
      a@1 gets +OK
      a@1 gets :2
    > a@1: CLUSTER GETKEYSINSLOT 12182 1 | CLUSTER GETKEYSINSLOT 5061 10
      a@1 gets [foo]
      a@1 gets [bar]
    > a@1: CLUSTER COUNTKEYSINSLOT 16384 | CLUSTER COUNTKEYSINSLOT -1 | CLUSTER COUNTKEYSINSLOT x | CLUSTER GETKEYSINSLOT 1 -1
      a@1 gets -ERR Invalid slot
      a@1 gets -ERR Invalid slot
      a@1 gets -ERR value is not an integer or out of range
      a@1 gets -ERR Invalid slot or number of keys
    > b@2: CLUSTER COUNTKEYSINSLOT 12182
    > 2 forwards
      2 asks 1 in epoch 5, 1: CLUSTER COUNTKEYSINSLOT 12182
      1 answers 2 1: ":2\r\n"
      b@2 gets :2
    > read-b@2: CLUSTER COUNTKEYSINSLOT 12182
      read-b@2 gets :2
    > a@1: ASKING | READONLY | READWRITE
      a@1 gets +OK
      a@1 gets +OK
      a@1 gets +OK
    "#
    );
}

#[test]
fn after_a_failover_every_node_names_the_new_primary_and_tells_subscribers_once() {
    script!(
        r#"
    > 1 tells 2 where it is
    > 3 tells 2 where it is
    > b@2: HELLO 3 | SUBSCRIBE +switch-master
      b@2 gets a map
      b@2 gets >$"subscribe" $"+switch-master" :1
    > c@3: HELLO 3 | PSUBSCRIBE *
      c@3 gets a map
      c@3 gets >$"psubscribe" $"*" :1
    > 1 tells 3 where it is
    > 1 releases
      1 proposes release behind batch 0
    > commit
      1 has void batches 1 to 1
      1 is accepted up to 1
      1 follows epoch 5
      2 proposes claim of life 6 after epoch 5, renewed at 5
      3 proposes claim of life 7 after epoch 5, renewed at 5
    > b@2: SENTINEL GET-MASTER-ADDR-BY-NAME mymaster | CLUSTER INFO
      b@2 gets [10.0.0.1 6379]
      b@2 gets cluster_state:fail cluster_slots_assigned:16384 cluster_slots_ok:16384 cluster_slots_pfail:0 cluster_slots_fail:0 cluster_known_nodes:3 cluster_size:1 cluster_current_epoch:5 cluster_my_epoch:5 cluster_stats_messages_sent:0 cluster_stats_messages_received:0 total_cluster_links_buffer_limit_exceeded:0
    > 2 ticks
    > after 1000 ms
    > 2 ticks
    > commit
      1 follows epoch 9
      2 leads epoch 9
      3 follows epoch 9
      b@2 gets >$"message" $"+switch-master" $"mymaster 10.0.0.1 6379 10.0.0.2 6379"
    > b@2: SENTINEL GET-MASTER-ADDR-BY-NAME mymaster | CLUSTER SLOTS
      b@2 gets [10.0.0.2 6379]
      b@2 gets [[:0 :16383 [10.0.0.2 :6379 45079b558c83772c3160c2d3cbd793ff158ab473 []] [10.0.0.1 :6379 ccf75954af673bdcd81fb0bb5e13328d6d7e4fe3 []] [10.0.0.3 :6379 a0bc0f1878b27f60c8c9be2a9b8d9669e3a68b0b []]]]
    > c@3: SENTINEL GET-MASTER-ADDR-BY-NAME mymaster
      c@3 gets [10.0.0.3 6379]
    > 2 tells 3 where it is
      c@3 gets >$"pmessage" $"*" $"+switch-master" $"mymaster 10.0.0.1 6379 10.0.0.2 6379"
    > c@3: SENTINEL GET-MASTER-ADDR-BY-NAME mymaster
      c@3 gets [10.0.0.2 6379]
    > 2 tells 3 where it is
    > 3 ticks
    "#
    );
}

#[test]
fn every_node_answers_as_a_sentinel() {
    script!(
        r#"
    > 2 tells 1 where it is
    > 3 tells 1 where it is
    > a@1: SENTINEL MASTERS | SENTINEL MASTER mymaster | SENTINEL MASTER other | SENTINEL GET-MASTER-ADDR-BY-NAME other
      a@1 gets [[name mymaster ip 10.0.0.1 port 6379 runid ccf75954af673bdcd81fb0bb5e13328d6d7e4fe3 flags master link-pending-commands 0 link-refcount 1 last-ping-sent 0 last-ok-ping-reply 0 last-ping-reply 0 down-after-milliseconds 300 info-refresh 0 role-reported master role-reported-time 0 config-epoch 5 num-slaves 2 num-other-sentinels 2 quorum 3 failover-timeout 10000 parallel-syncs 1]]
      a@1 gets [name mymaster ip 10.0.0.1 port 6379 runid ccf75954af673bdcd81fb0bb5e13328d6d7e4fe3 flags master link-pending-commands 0 link-refcount 1 last-ping-sent 0 last-ok-ping-reply 0 last-ping-reply 0 down-after-milliseconds 300 info-refresh 0 role-reported master role-reported-time 0 config-epoch 5 num-slaves 2 num-other-sentinels 2 quorum 3 failover-timeout 10000 parallel-syncs 1]
      a@1 gets -ERR No such master with that name
      a@1 gets "*-1\r\n"
    > a@1: SENTINEL REPLICAS mymaster | SENTINEL SENTINELS mymaster | SENTINEL MYID
      a@1 gets [[name 10.0.0.2:6380 ip 10.0.0.2 port 6380 runid 45079b558c83772c3160c2d3cbd793ff158ab473 flags slave link-pending-commands 0 link-refcount 1 last-ping-sent 0 last-ok-ping-reply 0 last-ping-reply 0 down-after-milliseconds 300 info-refresh 0 role-reported slave role-reported-time 0 master-link-down-time 0 master-link-status ok master-host 10.0.0.1 master-port 6379 slave-priority 100 slave-repl-offset 0 replica-announced 1] [name 10.0.0.3:6380 ip 10.0.0.3 port 6380 runid a0bc0f1878b27f60c8c9be2a9b8d9669e3a68b0b flags slave link-pending-commands 0 link-refcount 1 last-ping-sent 0 last-ok-ping-reply 0 last-ping-reply 0 down-after-milliseconds 300 info-refresh 0 role-reported slave role-reported-time 0 master-link-down-time 0 master-link-status ok master-host 10.0.0.1 master-port 6379 slave-priority 100 slave-repl-offset 0 replica-announced 1]]
      a@1 gets [[name 45079b558c83772c3160c2d3cbd793ff158ab473 ip 10.0.0.2 port 6379 runid 45079b558c83772c3160c2d3cbd793ff158ab473 flags sentinel link-pending-commands 0 link-refcount 1 last-ping-sent 0 last-ok-ping-reply 0 last-ping-reply 0 down-after-milliseconds 300 last-hello-message 0 voted-leader ? voted-leader-epoch 0] [name a0bc0f1878b27f60c8c9be2a9b8d9669e3a68b0b ip 10.0.0.3 port 6379 runid a0bc0f1878b27f60c8c9be2a9b8d9669e3a68b0b flags sentinel link-pending-commands 0 link-refcount 1 last-ping-sent 0 last-ok-ping-reply 0 last-ping-reply 0 down-after-milliseconds 300 last-hello-message 0 voted-leader ? voted-leader-epoch 0]]
      a@1 gets ccf75954af673bdcd81fb0bb5e13328d6d7e4fe3
    > a@1: SENTINEL CKQUORUM mymaster
      a@1 gets +OK 3 usable Sentinels. Quorum and failover authorization can be reached
    > 2 answers 1 nothing
    > 3 answers 1 nothing
    > a@1: SENTINEL CKQUORUM mymaster | SENTINEL REPLICAS mymaster
      a@1 gets -NOQUORUM 1 usable Sentinels. Not enough available Sentinels to reach the majority and authorize a failover
      a@1 gets [[name 10.0.0.2:6380 ip 10.0.0.2 port 6380 runid 45079b558c83772c3160c2d3cbd793ff158ab473 flags s_down,slave,disconnected link-pending-commands 0 link-refcount 1 last-ping-sent 0 last-ok-ping-reply 300 last-ping-reply 300 down-after-milliseconds 300 info-refresh 0 role-reported slave role-reported-time 0 master-link-down-time 0 master-link-status err master-host 10.0.0.1 master-port 6379 slave-priority 100 slave-repl-offset 0 replica-announced 1] [name 10.0.0.3:6380 ip 10.0.0.3 port 6380 runid a0bc0f1878b27f60c8c9be2a9b8d9669e3a68b0b flags s_down,slave,disconnected link-pending-commands 0 link-refcount 1 last-ping-sent 0 last-ok-ping-reply 300 last-ping-reply 300 down-after-milliseconds 300 info-refresh 0 role-reported slave role-reported-time 0 master-link-down-time 0 master-link-status err master-host 10.0.0.1 master-port 6379 slave-priority 100 slave-repl-offset 0 replica-announced 1]]
    > a@1: SENTINEL NONSENSE | SENTINEL MASTERS x | SENTINEL SLAVES other | SENTINEL CKQUORUM other
      a@1 gets -ERR unknown subcommand 'NONSENSE'. Try SENTINEL HELP.
      a@1 gets -ERR wrong number of arguments for 'sentinel|masters' command
      a@1 gets -ERR No such master with that name
      a@1 gets -ERR No such master with that name
    > reader-r@1: SENTINEL FAILOVER mymaster
      reader-r@1 gets -NOPERM User reader has no permissions to run the 'sentinel|failover' command
    > a@1: SENTINEL FAILOVER mymaster
      a@1 gets +OK
    "#
    );
}

#[test]
fn who_asks_what_a_node_is_hears_its_replicas_or_its_master() {
    script!(
        r#"
    > 1 tells 2 where it is
    > 2 tells 1 where it is
    > 3 tells 1 where it is
    > 3 answers 1 nothing
    > a@1: ROLE | INFO replication | INFO cluster | INFO sentinel
      a@1 gets [master :7 [[10.0.0.2 6380 0]]]
      a@1 gets # Replication role:master connected_slaves:1 slave0:ip=10.0.0.2,port=6380,state=online,offset=0,lag=0 node_role:primary primary:node-1 epoch:5 lag:0 master_failover_state:no-failover master_replid:4667040d3b5c60ef167c59ebdde9880ada0b5eda master_repl_offset:7
      a@1 gets # Cluster cluster_enabled:1
      a@1 gets # Sentinel sentinel_masters:1 sentinel_tilt:0 sentinel_running_scripts:0 sentinel_scripts_queue_length:0 sentinel_simulate_failure_flags:0 master0:name=mymaster,status=ok,address=10.0.0.1:6379,slaves=2,sentinels=3
    > read-a@2: ROLE | INFO replication | HELLO
      read-a@2 gets [slave 10.0.0.1 :6379 connected :7]
      read-a@2 gets # Replication role:slave master_host:10.0.0.1 master_port:6379 master_link_status:up slave_repl_offset:7 slave_read_only:1 connected_slaves:0 node_role:standby primary:node-1 epoch:5 lag:0 master_failover_state:no-failover master_replid:4667040d3b5c60ef167c59ebdde9880ada0b5eda master_repl_offset:7
      read-a@2 gets [server redis version 7.2.0 proto :2 id :1 mode cluster role replica modules []]
    > b@2: ROLE | HELLO
      b@2 gets [master :7 [[10.0.0.2 6380 7]]]
      b@2 gets [server redis version 7.2.0 proto :2 id :2 mode cluster role master modules []]
    "#
    );
}
