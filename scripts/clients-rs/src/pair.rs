//! Two nodes that answer as Redis Cluster and Sentinels do.

use std::env::var;

use redis::cluster::{ClusterClient, ClusterClientBuilder, cluster_pipe};
use redis::cluster_read_routing::RandomReplicaStrategy;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{Commands, ConnectionAddr, ProtocolVersion, RedisResult, TlsCertificates, TlsMode, cmd};

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

    let sentinel = |kind| -> RedisResult<SentinelClient> {
        let at = |port: &u16| ConnectionAddr::TcpTls {
            host: "localhost".into(),
            port: *port,
            insecure: false,
            tls_params: None,
        };
        SentinelClientBuilder::new(ports.iter().map(at), "mymaster", kind)?
            .set_client_to_redis_tls_mode(TlsMode::Secure)
            .set_client_to_redis_certificates(certificates())
            .set_client_to_redis_username("admin")
            .set_client_to_redis_password(password)
            .set_client_to_redis_protocol(version)
            .set_client_to_sentinel_certificates(certificates())
            .set_client_to_sentinel_username("admin")
            .set_client_to_sentinel_password(password)
            .set_client_to_sentinel_protocol(version)
            .build()
    };
    for (kind, role) in [(SentinelServerType::Master, "master"), (SentinelServerType::Replica, "slave")] {
        let mut db = sentinel(kind)?.get_connection()?;
        let info: String = cmd("INFO").arg("replication").query(&mut db)?;
        equal((role, info.contains(&format!("role:{role}\r\n"))), (role, true))?;
        equal(db.get::<_, Option<String>>("key")?, Some("value".into()))?;
    }
    Ok(())
}
