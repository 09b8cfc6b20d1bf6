//! Who listens on a port of this machine, as far as the system tells us: other users' processes
//! only as root.

use std::fs;

/// The program and process id of a listener on `port`.
pub(super) fn owner(port: u16) -> Option<String> {
    let sockets: Vec<_> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| listening(&table, port))
        .collect();
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

/// The sockets in a table of the kernel's that listen on `port`, named as `/proc/*/fd` does.
fn listening(table: &str, port: u16) -> Vec<String> {
    const LISTEN: &str = "0A";
    let socket = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let (_, local_port) = local.rsplit_once(':')?;
        let ours = u16::from_str_radix(local_port, 16) == Ok(port) && *state == LISTEN;
        ours.then(|| format!("socket:[{inode}]"))
    };
    table.lines().filter_map(socket).collect()
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
    fn only_listeners_on_the_port_count() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode\n\
             0: 0100007F:2638 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 111 1 0\n\
             1: 0100007F:2638 0100007F:8888 01 00000000:00000000 00:00000000 00000000 0 0 222 1 0\n\
             2: 0100007F:2639 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 333 1 0\n";
        assert_eq!(listening(table, 9784), ["socket:[111]"]);
        assert!(listening("", 9784).is_empty());
    }
}
