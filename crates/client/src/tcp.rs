//! The way to a relay's socket: the addresses of its name, and a connection to one of them.

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

use crate::{stream::Bounded, url::Url};

/// Where a relay's name leads.
#[derive(Debug)]
pub enum Resolved {
    /// The URL has an address in place of a name.
    Given(SocketAddr),
    /// The name has these addresses.
    Found(Vec<SocketAddr>),
}

/// Why a name has no address.
#[derive(Debug)]
pub enum ResolveError {
    /// No name server has answered.
    NoAnswer(io::Error),
    /// Nobody knows the name.
    Unknown(io::Error),
}

/// Looks up the host of `url`.
///
/// # Errors
///
/// [`ResolveError`] for a name without an address.
pub async fn resolve(url: &Url) -> Result<Resolved, ResolveError> {
    if let Ok(address) = url.host.parse::<IpAddr>() {
        return Ok(Resolved::Given((address, url.port).into()));
    }
    match lookup_host((url.host.as_str(), url.port)).await {
        Ok(addresses) => Ok(Resolved::Found(addresses.collect())),
        // The resolver's errors have no kind; these texts are musl's and glibc's for EAI_AGAIN.
        Err(error)
            if error.to_string().to_lowercase().contains("try again")
                || error.to_string().contains("Temporary failure") =>
        {
            Err(ResolveError::NoAnswer(error))
        }
        Err(error) => Err(ResolveError::Unknown(error)),
    }
}

/// A TCP connection to a relay.
#[derive(Debug)]
pub struct Connected {
    /// The connection.
    pub stream: Bounded<TcpStream>,
    /// Where it leads.
    pub address: SocketAddr,
    /// The last address that was tried before in vain, and why that one failed.
    pub passed: Option<(SocketAddr, io::Error)>,
}

/// Why there is no TCP connection.
#[derive(Debug)]
pub enum ConnectError {
    /// There was no address to try.
    NoAddress,
    /// All addresses have failed; this was the last. Its error is of the kind
    /// [`ErrorKind::TimedOut`] where nothing answered.
    Failed(SocketAddr, io::Error),
}

/// Connects to the first of `addresses` that answers, all within `limit`. No more than `most` bytes are
/// read from there.
///
/// # Errors
///
/// [`ConnectError`], with the address that was tried last.
pub async fn connect(
    addresses: &[SocketAddr],
    limit: Duration,
    most: usize,
) -> Result<Connected, ConnectError> {
    // One that swallows everything must leave time for the others.
    let each = limit / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut passed = None;
    for &address in addresses {
        match timeout(each, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Else a short message would wait for the acknowledgement of the one before.
                drop(stream.set_nodelay(true));
                return Ok(Connected {
                    stream: Bounded::new(stream, most),
                    address,
                    passed,
                });
            }
            Ok(Err(error)) => passed = Some((address, error)),
            Err(_) => passed = Some((address, ErrorKind::TimedOut.into())),
        }
    }
    Err(match passed {
        Some((address, error)) => ConnectError::Failed(address, error),
        None => ConnectError::NoAddress,
    })
}
