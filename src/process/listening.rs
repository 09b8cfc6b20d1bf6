//! Where the relay listens: on each address of `RELAY_HOST`, all with one port.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs},
};

use log::warn;
use socket2::{Domain, Socket, Type};

/// How many may wait until `http::accept` says how many more.
const BACKLOG: i32 = 128;
/// How often a free port is sought that is free on all addresses.
const TRIES: usize = 10;

/// Listens on `port` of each address that `host` has. What this machine does not have of them is
/// warned of, beside one that it has. `::` is every address of both families, whatever the system's
/// default, or every IPv4 address on a machine without IPv6.
///
/// # Errors
///
/// The operating system's own; one without a number of its kind is a host that does not resolve, or names
/// the one of several addresses that is in use.
pub(super) fn bind(host: &str, port: u16) -> io::Result<Vec<TcpListener>> {
    let mut addresses = Vec::new();
    for address in (host, port).to_socket_addrs()? {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    let bound = bind_all(&addresses, &listen).or_else(|error| match addresses.as_slice() {
        [only] if only.ip() == Ipv6Addr::UNSPECIFIED && is_without_family(&error) => {
            let every = (Ipv4Addr::UNSPECIFIED, port).into();
            let bound = bind_all(&[every], &listen)?.listeners;
            let absent = vec![(*only, error)];
            Ok(Bound {
                listeners: bound,
                absent,
            })
        }
        _ => Err(error),
    })?;
    for (address, error) in &bound.absent {
        warn!("{}", absence(host, address.ip(), error));
    }
    Ok(bound.listeners)
}

/// What it means that this machine does not have an address of `host`.
fn absence(host: &str, address: IpAddr, error: &io::Error) -> String {
    if address.is_unspecified() {
        return format!(
            "RELAY_HOST {host}: there is no IPv6 here, so it is every IPv4 address ({error})"
        );
    }
    format!("RELAY_HOST {host} is {address} as well, where nobody can listen: {error}")
}

/// Listens on one address. As in the standard library, a port may be taken again at once.
fn listen(address: SocketAddr, beside: &[SocketAddr]) -> io::Result<(TcpListener, u16)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        let apart = beside.iter().any(|it| it.ip() == Ipv4Addr::UNSPECIFIED);
        socket.set_only_v6(apart)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from(socket);
    let port = listener.local_addr()?.port();
    Ok((listener, port))
}

/// What came of listening on several addresses.
#[derive(Debug)]
struct Bound<T> {
    listeners: Vec<T>,
    /// What this machine does not have.
    absent: Vec<(SocketAddr, io::Error)>,
}

/// Listens on all of these that there are. `listen` is told of the others, and returns the port.
fn bind_all<T>(
    addresses: &[SocketAddr],
    listen: &impl Fn(SocketAddr, &[SocketAddr]) -> io::Result<(T, u16)>,
) -> io::Result<Bound<T>> {
    let any_port = addresses.iter().any(|address| address.port() == 0);
    let mut tries = 0;
    loop {
        tries += 1;
        match bind_once(addresses, listen) {
            // The port that was free on the first is somebody's on another.
            Err(error) if any_port && error.kind() == io::ErrorKind::AddrInUse && tries < TRIES => {
            }
            bound => return bound,
        }
    }
}

fn bind_once<T>(
    addresses: &[SocketAddr],
    listen: &impl Fn(SocketAddr, &[SocketAddr]) -> io::Result<(T, u16)>,
) -> io::Result<Bound<T>> {
    let (mut listeners, mut absent) = (Vec::new(), Vec::new());
    let mut found = None;
    for &address in addresses {
        let mut with_port = address;
        with_port.set_port(found.unwrap_or(address.port()));
        match listen(with_port, addresses) {
            Ok((listener, port)) => {
                found = Some(port);
                listeners.push(listener);
            }
            Err(error) if is_absent(&error) => absent.push((address, error)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && addresses.len() > 1 => {
                return Err(io::Error::new(error.kind(), with_port.to_string()));
            }
            Err(error) => return Err(error),
        }
    }
    match absent.pop() {
        Some((_, error)) if listeners.is_empty() => Err(error),
        last => {
            absent.extend(last);
            Ok(Bound { listeners, absent })
        }
    }
}

/// Whether this machine lacks the address, or its whole family.
fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable || is_without_family(error)
}

fn is_without_family(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn addresses<const N: usize>(texts: [&str; N]) -> [SocketAddr; N] {
        texts.map(|text| text.parse().unwrap())
    }

    /// Listens on IPv4 alone; on IPv6 it meets this error of the system's.
    fn without_ipv6(
        number: i32,
    ) -> impl Fn(SocketAddr, &[SocketAddr]) -> io::Result<(SocketAddr, u16)> {
        move |address, _| match address {
            SocketAddr::V4(_) => Ok((address, 7)),
            SocketAddr::V6(_) => Err(io::Error::from_raw_os_error(number)),
        }
    }

    #[test]
    fn an_address_that_is_not_there_is_left_out_beside_one_that_is() {
        let both = addresses(["[::1]:7", "127.0.0.1:7"]);
        for number in [libc::EAFNOSUPPORT, libc::EADDRNOTAVAIL] {
            let no_ipv6 = without_ipv6(number);
            let bound = bind_all(&both, &no_ipv6).unwrap();
            assert_eq!(bound.listeners, [both[1]]);
            assert_eq!(bound.absent[0].0, both[0]);
            let none = bind_all(&both[..1], &no_ipv6).unwrap_err();
            assert_eq!(none.raw_os_error(), Some(number));
        }
    }

    #[test]
    fn an_address_that_is_taken_is_no_address_to_leave_out() {
        let both = addresses(["127.0.0.1:7", "[::1]:7"]);
        for number in [libc::EADDRINUSE, libc::EACCES] {
            let listen = without_ipv6(number);
            let error = bind_all(&both, &listen).unwrap_err();
            let of_system = io::Error::from_raw_os_error(number);
            assert_eq!(error.kind(), of_system.kind());
            if number == libc::EADDRINUSE {
                assert_eq!(error.to_string(), "[::1]:7");
            }
        }
    }

    #[test]
    fn what_is_not_there_is_said_in_words_of_the_setting() {
        let error = io::Error::from_raw_os_error(libc::EAFNOSUPPORT);
        let every = absence("::", Ipv6Addr::UNSPECIFIED.into(), &error);
        assert!(
            every.starts_with("RELAY_HOST ::: there is no IPv6 here"),
            "{every}"
        );
        let one = absence("localhost", Ipv6Addr::LOCALHOST.into(), &error);
        assert!(
            one.starts_with("RELAY_HOST localhost is ::1 as well"),
            "{one}"
        );
    }

    #[test]
    fn any_port_is_one_port_on_all_addresses() {
        let both = addresses(["127.0.0.1:0", "[::1]:0"]);
        let next = Cell::new(7);
        let listen = |address: SocketAddr, _: &[SocketAddr]| match address.port() {
            0 => {
                next.set(next.get() + 1);
                Ok((address, next.get()))
            }
            // Somebody has these on the second address.
            8 | 9 => Err(io::ErrorKind::AddrInUse.into()),
            port => Ok((address, port)),
        };
        let bound = bind_all(&both, &listen).unwrap();
        assert_eq!(bound.listeners[1].port(), 10);
        let all_taken = |address: SocketAddr, _: &[SocketAddr]| match address.port() {
            0 => Ok((address, 8)),
            _ => Err(io::ErrorKind::AddrInUse.into()),
        };
        let error = bind_all(&both, &all_taken).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
