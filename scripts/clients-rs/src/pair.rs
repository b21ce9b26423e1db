//! Two nodes that answer as a Redis Cluster does. As Sentinels this client takes only what is nothing else.

use std::env::var;

use redis::cluster::{ClusterClient, ClusterClientBuilder, cluster_pipe};
use redis::cluster_read_routing::RandomReplicaStrategy;
use redis::{Commands, ProtocolVersion, RedisResult, TlsCertificates};

use crate::{Outcome, equal};

pub fn check(password: &str, protocol: &str) -> Outcome {
    let ca = std::fs::read(var("PAIR_CA")?)?;
    let certificates = || TlsCertificates { client_tls: None, root_cert: Some(ca.clone()) };
    let ports: Vec<u16> = var("PAIR")?.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let version = if protocol == "resp3" { ProtocolVersion::RESP3 } else { ProtocolVersion::RESP2 };

    let cluster = |replicas: bool| -> RedisResult<ClusterClient> {
        let urls: Vec<String> =
            ports.iter().map(|port| format!("rediss://admin:{password}@localhost:{port}")).collect();
        let builder = ClusterClientBuilder::new(urls).certs(certificates()).use_protocol(version);
        if replicas { builder.read_routing_strategy(RandomReplicaStrategy) } else { builder }.build()
    };
    for replicas in [false, true] {
        let mut db = cluster(replicas)?.get_connection()?;
        equal(db.set::<_, _, String>("key", "value")?, "OK".into())?;
        equal(db.incr::<_, _, i64>(format!("{protocol} {replicas}"), 1)?, 1)?;
        let values: (String, i64) =
            cluster_pipe().set("{key}n", 7).ignore().get("key").incr("{key}n", 1).query(&mut db)?;
        equal(values, ("value".into(), 8))?;
    }
    Ok(())
}
