//! A connection by one of the ways that clients come by.

use std::time::Duration;

use relay_client::stream::Stream;

use super::{
    net,
    note::{Note, Status},
    target::{Place, Target},
    tls,
};

/// A connection by this way, and what its TLS has shown.
pub(super) async fn connect(way: &Target, limit: Duration) -> Result<(Stream, Note), Note> {
    let (addresses, _) = net::resolve(way).await?;
    let connected = net::connect(way, &addresses, limit).await;
    let ((stream, _), _) = connected.map_err(|note| from_here(way, note))?;
    let tls = tls::prepare(way)?;
    tls::secure(tls.as_ref(), stream).await
}

/// That this machine does not reach its own public name does not mean that others do not: its router may
/// not lead it back to itself.
fn from_here(way: &Target, note: Note) -> Note {
    if way.place != Place::Outside {
        return note;
    }
    let status = Status::Warn;
    Note { status, ..note }
        .means("the tunnel or the port is closed, or only this machine cannot reach itself by its public name")
        .next(format!("from another machine: claude-distill-relay check {}", way.url))
}
