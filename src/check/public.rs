//! The URL by which clients come to the relay of this machine, as far as that is known here.

use std::fs;

use relay_client::url::Url;

use super::{plan::Plan, site::Sites, target::Target};

/// Where the deployment has written it down, so that it outlives the site in nginx.
const REMEMBERED: &str = "/etc/claude-distill-relay/public";

/// The public URL, and how that is known.
pub(super) struct Public {
    pub(super) url: Url,
    /// Whether our deployment has put nginx in front of it.
    pub(super) deployed: bool,
}

impl Public {
    /// What `plan` says, or the deployment has written down, or its site in nginx has.
    pub(super) fn find(plan: &Plan, sites: &Sites) -> Option<Self> {
        let given = plan.public.as_ref().map(|target| target.url.clone());
        if let Some(url) = given {
            return Some(Self {
                url,
                deployed: false,
            });
        }
        let text = fs::read_to_string(REMEMBERED).ok();
        let remembered = text.and_then(|text| Url::parse(text.trim()).ok());
        let of_site = || sites.of_deployment().map(|(name, tls)| of_site(name, tls));
        let url = remembered.or_else(of_site)?;
        Some(Self {
            url,
            deployed: true,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.url.host
    }

    pub(super) fn target(&self) -> Target {
        Target::outside(self.url.clone())
    }
}

/// The URL of a site that has TLS on a port of its own, or leaves it to a tunnel.
fn of_site(name: &str, tls: Option<u16>) -> Url {
    Url {
        tls: true,
        host: name.to_owned(),
        port: tls.unwrap_or(443),
        path: "/".to_owned(),
        user: None,
    }
}
