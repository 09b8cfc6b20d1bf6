//! Whether the relay's own pages are shown to strangers who come by a way. A proxy beside the relay that
//! leaves no sign of itself in a request looks like the operator, and only its other side tells.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{note::Note, reach::connect, target::Target};

/// The pages, and what stands in them and in those of others hardly.
const PAGES: [(&str, &str); 2] = [
    ("metrics", "# HELP relay_"),
    ("status", "<title>Relay status<"),
];
/// Bytes of an answer that are looked at.
const LOOKED_AT: usize = 64 * 1024;

/// Asks for each page by `way`, as a stranger can, by each name that is not a stranger's to the relay: all of
/// it within `limit`. Whoever does not answer shows nothing.
///
/// # Errors
///
/// A page that is shown.
pub(super) async fn look(way: &Target, limit: Duration) -> Result<(), Note> {
    let mut asks = Vec::new();
    for (page, sign) in PAGES {
        for path in paths(&way.url.path, page) {
            for host in [way.url.host.as_str(), "localhost"] {
                asks.push((host, path.clone(), sign));
            }
        }
    }
    let each = limit / u32::try_from(asks.len()).unwrap_or(u32::MAX).max(1);
    for (host, path, sign) in asks {
        let asked = timeout(each, is_shown(way, host, &path, sign)).await;
        if asked.is_ok_and(|shown| shown == Some(true)) {
            return Err(shown_to_all(&path, host));
        }
    }
    Ok(())
}

/// Where a page may be that stands at the relay's root, by a way that has this path there.
fn paths(base: &str, page: &str) -> Vec<String> {
    let base = base.split('?').next().unwrap_or_default();
    let within = format!("{}/{page}", base.trim_end_matches('/'));
    let mut paths = vec![format!("/{page}"), within, format!("{base}{page}")];
    paths.dedup();
    paths.retain(|path| path.starts_with('/'));
    paths
}

/// Whether an answer has the page; nothing where there is no answer.
async fn is_shown(way: &Target, host: &str, path: &str, sign: &str) -> Option<bool> {
    let (mut stream, _) = connect(way, Duration::MAX).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    stream.flush().await.ok()?;
    let mut answer = Vec::new();
    while answer.len() < LOOKED_AT {
        let text = String::from_utf8_lossy(&answer);
        let is_200 = text.split(' ').nth(1) == Some("200");
        if is_200 && text.contains(sign) {
            return Some(true);
        }
        // The rest is of no interest, and may take its time.
        if !is_200 && text.contains("\r\n\r\n") || stream.read_buf(&mut answer).await.ok()? == 0 {
            break;
        }
    }
    Some(false)
}

fn shown_to_all(path: &str, host: &str) -> Note {
    Note::fail(format!("everybody sees {path} (asked for as Host: {host})"))
        .means("what passes requests on shows the relay nothing of itself, so that they look like the operator's own")
        .next(
            "in its site for the relay, proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; or \
             RELAY_METRICS_ALLOW= (empty), and claude-distill-relay status in place of the pages",
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_looked_for_at_the_root_and_below_the_path() {
        assert_eq!(paths("/", "metrics"), ["/metrics"]);
        assert_eq!(paths("/?key=x", "metrics"), ["/metrics"]);
        let below = ["/metrics", "/ws/metrics", "/wsmetrics"];
        assert_eq!(paths("/ws", "metrics"), below);
        assert_eq!(paths("/ws/", "metrics"), below[..2]);
    }
}
