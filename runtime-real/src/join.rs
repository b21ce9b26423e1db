//! How a node that belongs to no cluster asks another one what it knows, and is admitted.
//!
//! Both speak TLS 1.3, where the member shows a certificate that means nothing: the joiner knows no CA yet. Trust comes
//! from the cluster's secret. Each side proves that it knows it by an HMAC over keying material of this very session, so a
//! proof is good for nothing elsewhere: whoever stands between has two sessions, and can make no proof for either.
//!
//! The joiner proves first: so a stranger who connects learns nothing of the secret that he could try guesses against.
//! It says nothing else, and believes nothing, before the member has proved too.

mod joiner;
mod member;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bincode::{Decode, Encode};
use mneme_driver::link;
use rustls::ConnectionCommon;
use tokio::io::{AsyncRead, AsyncReadExt};

pub use joiner::JoinError;
pub(crate) use joiner::Joiner;
pub(crate) use member::{Admission, Membership, join_config};

use crate::secret::{Keying, Proof};

/// What joiners speak.
pub(crate) const JOIN_PROTOCOL: &[u8] = b"mneme-join/1";
/// Bytes of a message. The largest is a request with all its names.
const MAX_MESSAGE: usize = 64 << 10;
/// How long one message may take to come.
const MESSAGE: Duration = Duration::from_secs(10);
/// Questions of one conversation.
const MAX_QUESTIONS: usize = 4;

/// What a member says of a joiner's proof. Grows only at its end, as all that follow.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
enum Greeting {
    /// It was right, and here is the member's own.
    Welcome(Proof),
    WrongSecret,
    /// This node was not told the secret.
    KnowsNoSecret,
    /// Too many were wrong lately from the joiner's address.
    TooMany,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
enum Question {
    State,
    Admit(Request),
}

/// What a node wants to have signed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Request {
    pub node: String,
    /// What clients and other nodes call it.
    pub names: Vec<String>,
    /// PKCS #10, DER. Only its key is looked at.
    pub key: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
enum Answer {
    State(State),
    Admitted(Box<Admitted>),
    /// This node cannot sign; these may.
    Elsewhere {
        nodes: Vec<String>,
    },
    Refused {
        why: String,
    },
}

/// What a node says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct State {
    /// Of the process: by that a node finds out that it has asked itself.
    pub instance: u64,
    /// It belongs to a cluster.
    pub belongs: bool,
}

/// What an admitted node gets.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Admitted {
    /// PEM.
    pub ca: String,
    /// PEM.
    pub certificate: String,
    /// Cluster addresses of nodes that are known.
    pub nodes: Vec<String>,
}

/// Keying material of a session, for either side's proof.
struct Session {
    joiner: Keying,
    member: Keying,
}

impl Session {
    fn of<Side>(connection: &ConnectionCommon<Side>) -> io::Result<Self> {
        let export = |label: &[u8]| {
            connection.export_keying_material([0; 32], label, Some(JOIN_PROTOCOL)).map_err(io::Error::other)
        };
        Ok(Self { joiner: export(b"EXPORTER-mneme-joiner")?, member: export(b"EXPORTER-mneme-member")? })
    }
}

/// The next message, if it is small and comes soon.
async fn receive<T: Decode<()>>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<T> {
    within(MESSAGE, async {
        let len = stream.read_u32_le().await? as usize;
        if len > MAX_MESSAGE {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a message of {len} bytes")));
        }
        let mut bytes = vec![0; len];
        stream.read_exact(&mut bytes).await?;
        link::decode(&bytes)
    })
    .await
}

async fn send(stream: &mut (impl tokio::io::AsyncWrite + Unpin), message: &impl Encode) -> io::Result<()> {
    within(MESSAGE, link::send(stream, message)).await
}

async fn within<T>(time: Duration, task: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(time, task).await.unwrap_or_else(|late| Err(late.into()))
}

/// Makes a certificate that means nothing, for TLS to have one.
fn meaningless() -> Result<Arc<rustls::sign::CertifiedKey>, rustls::Error> {
    let made = rcgen::generate_simple_self_signed([String::from("mneme-join")]);
    let made = made.map_err(|error| rustls::Error::General(error.to_string()))?;
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    Ok(Arc::new(rustls::sign::CertifiedKey::from_der(vec![made.cert.der().clone()], key.into(), &provider)?))
}
