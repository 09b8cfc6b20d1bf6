//! What a node does about those who come to it as nodes: who has the secret is believed.

use std::{sync::atomic::Ordering::SeqCst, time::Instant};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    Cluster,
    secret::Purpose,
    words::{Guest, Visit, Welcome},
};

/// Somebody that has come as a node.
#[derive(Debug)]
pub enum Caller {
    /// A node that wants to know who is here.
    Probe,
    /// A node that brings a client.
    Guest(Guest),
}

impl Cluster {
    /// Who this is that shows this proof; `None` for a stranger, and for a visit that was let in before.
    pub fn admit(&self, proof: &[u8]) -> Option<Caller> {
        let sealed = URL_SAFE_NO_PAD.decode(proof).ok()?;
        match self.keys.hear(Purpose::Visit, "", &sealed)?.1 {
            Visit::Probe => Some(Caller::Probe),
            Visit::Client { ticket, guest } => {
                let is_good = self.known().tickets.take(&ticket, Instant::now());
                is_good.then_some(Caller::Guest(guest))
            }
        }
    }

    /// What proves to a node whose handshake has this key that this is one, too.
    pub fn welcome(&self, key: &str) -> String {
        let welcome = Welcome {
            id: self.own.id,
            leaves: self.left.load(SeqCst),
            key: key.to_owned(),
        };
        URL_SAFE_NO_PAD.encode(self.keys.say(Purpose::Welcome, "", &welcome))
    }
}
