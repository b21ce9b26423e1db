//! Keeps this node's own certificate from ending: signs it with the CA's sealed key where it can be had, and has another
//! node sign it where not.

use std::sync::Arc;
use std::time::SystemTime;

use crate::founding::{FoundingError, admit_by};
use crate::join::{Admission, Joiner, Request};
use crate::trust::{Identity, TrustError};

/// What it takes to renew.
#[derive(Debug)]
pub(crate) struct Renewal {
    pub identity: Identity,
    /// The secret, the sealed key, and the nodes that are known.
    pub admission: Arc<Admission>,
}

impl Renewal {
    /// Makes the certificate anew if it is due; whether it was.
    ///
    /// # Errors
    /// If that cannot be done now.
    pub(crate) async fn renew_if_due(&self, now: SystemTime) -> Result<bool, FoundingError> {
        if !self.identity.is_due(now)? {
            return Ok(false);
        }
        self.renew(now).await?;
        Ok(true)
    }

    /// Makes the certificate anew.
    ///
    /// # Errors
    /// If that cannot be done now.
    pub(crate) async fn renew(&self, now: SystemTime) -> Result<(), FoundingError> {
        let Some(secret) = &self.admission.secret else { return Err(TrustError::NoSecret.into()) };
        let membership = self.admission.membership.get();
        if let Some(sealed) = membership.and_then(|membership| (membership.sealed)()) {
            self.identity.renew(&sealed, secret, now)?;
            return Ok(());
        }
        let mut nodes = membership.map(|membership| (membership.nodes)()).unwrap_or_default();
        // The first is this node itself.
        if !nodes.is_empty() {
            nodes.remove(0);
        }
        let joiner = Joiner::new(secret.clone()).map_err(TrustError::from)?;
        let (node, names) = (self.identity.node.clone(), self.identity.names.clone());
        let request = Request { node, names, key: self.identity.request()? };
        let (_, admitted) = admit_by(&joiner, nodes, &request).await?;
        self.identity.renewed(&admitted.ca, &admitted.certificate)?;
        Ok(())
    }
}
