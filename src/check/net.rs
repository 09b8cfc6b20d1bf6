//! The way to a relay up to the WebSocket handshake: name, TCP, TLS; and what their failures mean.

use super::report::{Note, Outcome};
use super::target::Target;
use super::tls::Tls;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// A connection, whatever is beneath it.
pub(super) trait Io: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Io for T {}

/// The addresses of the target.
pub(super) async fn resolve(target: &Target) -> Outcome<Vec<SocketAddr>> {
    let host = &target.host;
    if let Ok(address) = host.parse::<IpAddr>() {
        let addresses = vec![(address, target.port).into()];
        return Ok((addresses, Note::skip("an address needs no looking up")));
    }
    let found = lookup_host((host.as_str(), target.port)).await;
    let addresses: Vec<_> = found.map_err(|error| unresolved(host, &error))?.collect();
    let shown: Vec<_> = addresses.iter().map(|it| it.ip().to_string()).collect();
    let note = Note::ok(format!("{host} is {}", shown.join(", ")));
    Ok((addresses, note))
}

fn unresolved(host: &str, error: &io::Error) -> Note {
    let note = Note::fail(format!("{host} does not resolve: {error}"));
    // The resolver's errors have no kind; this text is glibc's and musl's alike for EAI_AGAIN.
    if error.to_string().to_lowercase().contains("try again")
        || error.to_string().contains("Temporary failure")
    {
        note.means("no name server answers this machine; the relay may be well")
            .next("getent hosts example.com, and /etc/resolv.conf, on this machine")
    } else {
        note.means("the name is mistyped, or its DNS record is missing")
            .next(format!(
                "dig {host}; with a tunnel, its \"Published application routes\" make the record"
            ))
    }
}

/// Connects to the first of `addresses` that answers, all within `limit`.
pub(super) async fn connect(
    target: &Target,
    addresses: &[SocketAddr],
    limit: Duration,
) -> Outcome<(TcpStream, SocketAddr)> {
    // One that swallows everything must leave time for the others.
    let each = limit / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut last = None;
    for &address in addresses {
        match timeout(each, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Else the steps would measure delayed acknowledgements.
                drop(stream.set_nodelay(true));
                let note = match last {
                    None => Note::ok(format!("connected to {address}")),
                    Some((other, why)) => Note::warn(format!("connected to {address} only")).means(
                        format!("{other} does not answer ({why}); some clients go there"),
                    ),
                };
                return Ok(((stream, address), note));
            }
            Ok(Err(error)) => last = Some((address, error)),
            Err(_) => last = Some((address, ErrorKind::TimedOut.into())),
        }
    }
    let Some((address, error)) = last else {
        return Err(Note::fail(format!("{} has no address", target.host)));
    };
    Err(unconnected(target, address, &error))
}

fn unconnected(target: &Target, address: SocketAddr, error: &io::Error) -> Note {
    let port = address.port();
    match error.kind() {
        ErrorKind::ConnectionRefused if target.local => {
            Note::fail(format!("nothing listens on {address}: connection refused"))
                .means("the relay does not run, or listens elsewhere than this configuration says")
                .next("systemctl status claude-distill-relay; ss -ltnp")
        }
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

/// TLS where the target wants it, over a connection that is there.
pub(super) async fn secure(tls: Option<&Tls>, stream: TcpStream) -> Outcome<Box<dyn Io>> {
    match tls {
        Some(tls) => tls.handshake(stream).await,
        None => Ok((Box::new(stream), Note::skip("ws:// has none"))),
    }
}
