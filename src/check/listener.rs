//! Who listens on a port of this machine, as far as the system tells us: other users' processes
//! only as root.

use std::{fs, net::IpAddr};

/// A socket that listens.
#[derive(Debug, PartialEq, Eq)]
struct Listener {
    address: IpAddr,
    /// Its name, as `/proc/*/fd` has it.
    socket: String,
}

/// The addresses on which somebody listens on `port`.
pub(super) fn addresses(port: u16) -> Vec<IpAddr> {
    let mut addresses: Vec<_> = all(port).map(|listener| listener.address).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

fn all(port: u16) -> impl Iterator<Item = Listener> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].into_iter();
    tables
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(move |table| listening(&table, port))
}

/// The program and process id of a listener on `port`.
pub(super) fn owner(port: u16) -> Option<String> {
    let sockets: Vec<_> = all(port).map(|listener| listener.socket).collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut ids: Vec<u32> = processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    // Latest first: under socket activation process 1 has the socket too, but does not answer.
    ids.sort_unstable_by(|a, b| b.cmp(a));
    let id = ids.into_iter().find(|&id| holds(id, &sockets))?;
    let program = fs::read_link(format!("/proc/{id}/exe")).ok()?;
    let name = program.file_name()?.to_string_lossy();
    // What the kernel appends when the file has been replaced, as an update does.
    Some(format!(
        "{} (process {id})",
        name.trim_end_matches(" (deleted)")
    ))
}

/// The sockets in a table of the kernel's that listen on `port`.
fn listening(table: &str, port: u16) -> Vec<Listener> {
    const LISTEN: &str = "0A";
    let socket = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let (local_address, local_port) = local.rsplit_once(':')?;
        let ours = u16::from_str_radix(local_port, 16) == Ok(port) && *state == LISTEN;
        let address = address(local_address).filter(|_| ours)?;
        let socket = format!("socket:[{inode}]");
        Some(Listener { address, socket })
    };
    table.lines().filter_map(socket).collect()
}

/// An address as such a table has it: words of 32 bits, each a number of this machine's in eight digits.
fn address(text: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let digits = text.get(8 * at..8 * (at + 1))?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    match text.len() {
        8 => Some(word(0)?.into()),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            Some(bytes.into())
        }
        _ => None,
    }
}

/// Whether the process has one of these sockets open, as far as we may see.
fn holds(id: u32, sockets: &[String]) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{id}/fd")) else {
        return false;
    };
    files
        .flatten()
        .filter_map(|file| fs::read_link(file.path()).ok())
        .any(|link| {
            sockets
                .iter()
                .any(|socket| link.as_os_str() == socket.as_str())
        })
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn a_listener_of_ours_is_found_and_nobody_elses() -> std::io::Result<()> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let owner = owner(port).unwrap_or_default();
        assert!(
            owner.ends_with(&format!(" (process {})", std::process::id())),
            "{owner}"
        );
        Ok(())
    }

    #[test]
    fn the_addresses_of_a_port_are_those_that_are_listened_on() -> std::io::Result<()> {
        let (v4, v6) = (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
        let all = (Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED);
        for host in [v4.into(), all.0.into(), v6.into(), IpAddr::from(all.1)] {
            // There may be no IPv6 here.
            let Ok(listener) = std::net::TcpListener::bind((host, 0)) else {
                assert!(host.is_ipv6());
                continue;
            };
            assert_eq!(addresses(listener.local_addr()?.port()), [host]);
        }
        Ok(())
    }

    #[test]
    fn only_listeners_on_the_port_count() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode\n\
             0: 0100007F:2638 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 111 1 0\n\
             1: 0100007F:2638 0100007F:8888 01 00000000:00000000 00:00000000 00000000 0 0 222 1 0\n\
             2: 0100007F:2639 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 333 1 0\n";
        let sockets: Vec<_> = listening(table, 9784)
            .into_iter()
            .map(|it| it.socket)
            .collect();
        assert_eq!(sockets, ["socket:[111]"]);
        assert!(listening("", 9784).is_empty());
    }
}
