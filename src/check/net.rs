//! What the lookup of a relay's name and the connection to its port tell, and what their failures
//! mean.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    time::Duration,
};

use relay_client::stream::Bounded;
use relay_client::tcp::{self, ConnectError, Connected, ResolveError, Resolved};
use tokio::net::TcpStream;

use super::{
    note::{Note, Outcome},
    plan::MOST,
    program::by_systemd,
    target::{Place, Target},
};

/// Addresses of a name that are shown; a stranger's name server may have sent thousands.
const SHOWN: usize = 8;

/// The addresses of the target.
pub(super) async fn resolve(target: &Target) -> Outcome<Vec<SocketAddr>> {
    let host = &target.url.host;
    if !target.addresses.is_empty() {
        let known = target.addresses.clone();
        return Ok((known, Note::skip("it is known where that is")));
    }
    match tcp::resolve(&target.url).await {
        Ok(Resolved::Given(address)) => {
            Ok((vec![address], Note::skip("an address needs no looking up")))
        }
        Ok(Resolved::Found(addresses)) => {
            let shown: Vec<_> = addresses
                .iter()
                .take(SHOWN)
                .map(|it| it.ip().to_string())
                .collect();
            let note = Note::ok(format!("{host} is {}", shown.join(", ")));
            Ok((addresses, note))
        }
        Err(ResolveError::NoAnswer(error)) => Err(unresolved(host, &error)
            .means("no name server answers this machine; the relay may be well")
            .next("getent hosts example.com, and /etc/resolv.conf, on this machine")),
        Err(ResolveError::Unknown(error)) => Err(unresolved(host, &error)
            .means("the name is mistyped, or its DNS record is missing")
            .next(format!(
                "dig {host}; with a tunnel, its \"Published application routes\" make the record"
            ))),
    }
}

fn unresolved(host: &str, error: &io::Error) -> Note {
    Note::fail(format!("{host} does not resolve: {error}"))
}

/// Connects to the first of `addresses` that answers, all within `limit`.
pub(super) async fn connect(
    target: &Target,
    addresses: &[SocketAddr],
    limit: Duration,
) -> Outcome<(Bounded<TcpStream>, SocketAddr)> {
    let Connected {
        stream,
        address,
        passed,
    } = tcp::connect(addresses, limit, MOST)
        .await
        .map_err(|error| unconnected(target, &error))?;
    // One of several that are known is as good as another.
    let note = match passed.filter(|_| target.addresses.is_empty()) {
        None => Note::ok(format!("connected to {address}")),
        Some((other, why)) => Note::warn(format!("connected to {address} only")).means(format!(
            "{other} does not answer ({why}); some clients go there"
        )),
    };
    Ok(((stream, address), note))
}

/// A server that sends and sends.
pub(super) fn flood() -> Note {
    Note::fail("the server sends far more than it was asked for")
        .means("it is no relay of ours, or it means harm; the rest of it was not read")
}

fn unconnected(target: &Target, error: &ConnectError) -> Note {
    let (address, error) = match error {
        ConnectError::NoAddress => {
            return Note::fail(format!("{} has no address", target.url.host));
        }
        ConnectError::Failed(address, error) => (address, error),
    };
    let port = address.port();
    match error.kind() {
        ErrorKind::ConnectionRefused if target.place == Place::Relay => {
            Note::fail(format!("nothing listens on {address}: connection refused"))
                .means("the relay does not run, or listens elsewhere than this configuration says")
                .next(by_systemd(
                    "systemctl status claude-distill-relay; ss -ltnp",
                    "its start, if it does not run: claude-distill-relay; ss -ltnp",
                ))
        }
        ErrorKind::ConnectionRefused if target.place == Place::Nginx => Note::fail(format!(
            "nginx does not listen on {address}: connection refused"
        ))
        .means("nginx is stopped, or runs with another configuration than its files have now")
        .next(by_systemd(
            "sudo nginx -t; sudo systemctl restart nginx; journalctl -u nginx -n 20",
            "sudo nginx -t; then its start: sudo nginx",
        )),
        ErrorKind::ConnectionRefused => {
            Note::fail(format!("nothing listens on {address}: connection refused"))
                .means(
                    "the machine is up, and what should listen there is not, or the port is wrong",
                )
                .next(format!("ss -ltnp 'sport = :{port}'   (on that machine)"))
        }
        ErrorKind::TimedOut => Note::fail(format!("{address} does not answer"))
            .means("a firewall drops what is sent there, or the machine is down")
            .next(format!(
                "sudo ufw status   (on that machine), and its provider's rules for {port}"
            )),
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => {
            Note::fail(format!("there is no way to {address}: {error}"))
                .means("this machine has no network for that address, or that one is down")
                .next(format!("ip route get {}", address.ip()))
        }
        _ => Note::fail(format!("cannot connect to {address}: {error}")),
    }
}
