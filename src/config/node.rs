//! What makes a relay one of several, which are one to their clients.

use std::path::PathBuf;

use relay_client::url::Url;

use super::{
    cluster::{NatsServers, Secret},
    knobs::Config,
};

/// All that a relay needs to be one of several.
#[derive(Clone)]
pub struct Cluster {
    /// Where they find each other.
    pub nats: NatsServers,
    /// A file of credentials for that.
    pub credentials: Option<PathBuf>,
    /// Where the others reach this relay.
    pub address: Url,
    /// What they prove themselves with.
    pub secret: String,
}

impl Config {
    /// What makes this relay one of several, if it is.
    pub fn cluster(&self) -> Option<Cluster> {
        let (Some(address), Secret::Known(secret)) = (&self.cluster_address, &self.cluster_secret)
        else {
            return None;
        };
        self.incomplete_cluster().is_none().then(|| Cluster {
            nats: self.cluster_nats.clone(),
            credentials: self.cluster_nats_credentials.clone(),
            address: address.clone(),
            secret: secret.clone(),
        })
    }

    /// The first setting that is missing where some of those of a cluster are there.
    pub(super) fn incomplete_cluster(&self) -> Option<&'static str> {
        let needed = [
            (
                "RELAY_CLUSTER_NATS",
                self.cluster_nats.addresses().is_empty(),
            ),
            ("RELAY_CLUSTER_ADDRESS", self.cluster_address.is_none()),
            ("RELAY_CLUSTER_SECRET", self.cluster_secret == Secret::None),
        ];
        let missing = needed.iter().find(|(_, is_missing)| *is_missing);
        let wanted =
            self.cluster_nats_credentials.is_some() || needed.iter().any(|(_, missing)| !missing);
        missing.filter(|_| wanted).map(|(variable, _)| *variable)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SOME: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn all_of_a_cluster_goes_together() {
        let whole = Config {
            cluster_nats: NatsServers::parse("nats://127.0.0.1").unwrap(),
            cluster_address: Some(Url::parse("ws://127.0.0.1:9784").unwrap()),
            cluster_secret: Secret::parse(SOME).unwrap(),
            ..Config::default()
        };
        assert!(whole.cluster().is_some());
        assert!(Config::default().cluster().is_none());
        assert_eq!(Config::default().incomplete_cluster(), None);
        let no_secret = Config {
            cluster_secret: Secret::None,
            ..whole.clone()
        };
        let unread = Config {
            cluster_secret: Secret::Unread,
            ..whole.clone()
        };
        assert_eq!(unread.incomplete_cluster(), None);
        assert!(unread.cluster().is_none());
        assert_eq!(no_secret.incomplete_cluster(), Some("RELAY_CLUSTER_SECRET"));
        assert!(no_secret.cluster().is_none());
        let alone = Config {
            cluster_nats_credentials: Some("/etc/x.creds".into()),
            ..Config::default()
        };
        assert_eq!(alone.incomplete_cluster(), Some("RELAY_CLUSTER_NATS"));
    }
}
